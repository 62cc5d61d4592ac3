"""What the gateway tells whoever watches: what came from where, and what failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crane_core.text import visible


@dataclass(frozen=True, slots=True)
class Event:
    """One answered request.

    `kind` is `page`, `file`, `metadata`, `upload` or the like; `what` a project or file name;
    `source` the name of the index or the host it came from, empty on failure; `problem` one line,
    empty on success; `stale` says that it is from before, since the index could not be asked;
    `hit`, that it came from the cache.
    """

    kind: str
    what: str
    source: str = ""
    problem: str = ""
    size: int = 0
    stale: bool = False
    hit: bool = False

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
        return visible(self.what)[:200]


Observer = Callable[[Event], None]
