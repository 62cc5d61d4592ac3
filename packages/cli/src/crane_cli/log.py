"""What `crane serve` says of each request: a quiet line for people, or JSON for programs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from crane_core.cache.settings import show_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crane_core.gateway.events import Event, Observer

FORMATS = ("text", "json")
# Seconds that a line waits for others: a write for each takes a fifth of a busy gateway's time.
TOGETHER = 0.05


@contextlib.contextmanager
def logging_events(log_format: str) -> Iterator[Observer]:
    """Yield what writes events to standard error in that format, the last of them at the end."""
    lines = _Lines(_as_json if log_format == "json" else _as_text)
    try:
        yield lines
    finally:
        lines.write()


class _Lines:
    """Lines on their way to standard error."""

    def __init__(self, line_of: Callable[[Event], str]) -> None:
        self._line_of = line_of
        self._waiting: list[str] = []

    def __call__(self, event: Event) -> None:
        """Write an event's line, in a moment if a loop runs here."""
        self._waiting.append(f"{self._line_of(event)}\n")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.write()
        else:
            if len(self._waiting) == 1:
                loop.call_later(TOGETHER, self.write)

    def write(self) -> None:
        """Write what is waiting."""
        lines, self._waiting = self._waiting, []
        # Whoever reads it may have left; requests are answered all the same.
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write("".join(lines))
            sys.stderr.flush()


def _as_text(event: Event) -> str:
    stamp = _stamp(int(time.time()))
    what = event.reason or f"from {event.source}"
    if event.outcome in {"hit", "stale"}:
        what += ", cached" if event.outcome == "hit" else ", stale: the index cannot be reached"
    if event.size:
        what += f", {show_size(event.size)}"
    if event.request:
        what += f"  [{event.request}]"
    return f"{stamp} {event.kind} {event.text}  {what}"


@lru_cache(1)
def _stamp(second: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second))


def _as_json(event: Event) -> str:
    return json.dumps(event.record(time.time()))
