"""What the gateway tells whoever watches: what came from where, and what failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crane_core.text import visible


@dataclass(frozen=True, slots=True)
class Event:
    """One answered request.

    `kind` is `page` or `file`; `what` a project or file name; `source` the name of the index or
    the host it came from, empty on failure; `problem` one line, empty on success.
    """

    kind: str
    what: str
    source: str = ""
    problem: str = ""
    size: int = 0

    @property
    def text(self) -> str:
        """What was asked for, fit for a terminal: names come from whoever writes the pages."""
        return visible(self.what)[:200]


Observer = Callable[[Event], None]
