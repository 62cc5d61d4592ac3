"""The agent's log: a JSON object a line, of what is wrong."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

from crane_core.gateway.events import log_time
from crane_core.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crane_core.clock import Clock
    from crane_core.gateway.events import Event

LIMIT = 1 << 20  # bytes that one agent writes at most
# What tells an event from the same one once more.
_PASSING = frozenset({"time", "request"})


class Log:
    """Writes to standard error: the log of a process that nobody looks at must not grow."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left = LIMIT
        self._last: dict[str, Any] = {}

    def observe(self, event: Event) -> None:
        """Write what could not be answered."""
        if event.problem:
            self._write(event.record(self._clock.now()))

    def note(self, text: str) -> None:
        """Write a line about the agent itself."""
        at = log_time(self._clock.now())
        self._write({"time": at, "kind": "agent", "problem": redacted(text)})

    def _write(self, record: dict[str, Any]) -> None:
        """Write a record, unless it says what the last one has said."""
        lasting = {name: value for name, value in record.items() if name not in _PASSING}
        line = json.dumps(record)
        if lasting == self._last or len(line) > self._left:
            return
        self._last = lasting
        self._left -= len(line)
        with contextlib.suppress(OSError):
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - the log


def last_problem(lines: Iterable[str]) -> str:
    """Return what the last line of a log says; Python writes there, too, and not in JSON."""
    last = next((line.strip() for line in reversed(list(lines)) if line.strip()), "")
    try:
        return str(json.loads(last)["problem"])
    except (ValueError, TypeError, KeyError):
        return last
