"""What the gateway tells whoever watches: what came from where, and what failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from crane_core.gateway.request_ids import current
from crane_core.redaction import redacted
from crane_core.text import visible

LONGEST = 2000  # characters of anything that are looked at


@dataclass(frozen=True, slots=True)
class Event:
    """One answered request.

    `kind` is `page`, `file`, `metadata`, `upload` or the like; `what` a project or file name;
    `source` the name of the index or the host it came from, empty on failure; `problem` one line,
    empty on success; `stale` says that it is from before, since the index could not be asked;
    `hit`, that it came from the cache. `request` is the id of the request, which its tool is told.
    """

    kind: str
    what: str
    source: str = ""
    problem: str = ""
    size: int = 0
    stale: bool = False
    hit: bool = False
    request: str = field(default_factory=current)

    @property
    def outcome(self) -> str:
        """How the answer came about, in one word."""
        if self.problem:
            return "failed"
        if self.stale:
            return "stale"
        return "hit" if self.hit else "fetched"

    @property
    def text(self) -> str:
        """What was asked for, fit for a terminal: names come from whoever writes the pages."""
        return visible(redacted(self.what[:LONGEST]))[:200]

    @property
    def reason(self) -> str:
        """What failed, fit for a log: an address in it has no login and no query."""
        return redacted(self.problem[:LONGEST])

    def record(self, at: float) -> dict[str, Any]:
        """Return the event for a log, at a time in seconds since the epoch."""
        return {
            "time": log_time(at),
            "request": self.request or None,
            "kind": self.kind,
            "what": self.text,
            "source": self.source or None,
            "outcome": self.outcome,
            "bytes": self.size,
            "problem": self.reason or None,
        }


def log_time(at: float) -> str:
    """Return a time as logs have it: RFC 3339, in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


Observer = Callable[[Event], None]
