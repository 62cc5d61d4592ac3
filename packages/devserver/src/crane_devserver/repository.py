"""Repositories: folders on disk, and the rules about who may read and write in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .access import ANY_USER, NOBODY

if TYPE_CHECKING:
    from pathlib import Path

    from .access import Identity

_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class PathAccess:
    """A stricter rule for one folder or file of a repository and all below it.

    As on a Crane server, rules only ever narrow: a caller needs the right of the
    repository *and* of every rule on the way down.
    """

    path: str
    read_groups: frozenset[str] | None = ANY_USER
    write_groups: frozenset[str] | None = NOBODY

    def covers(self, path: str) -> bool:
        """Tell whether ``path`` (relative to the repository) is this path or lies below it."""
        own, other = self.path.strip("/"), path.strip("/")
        return other == own or other.startswith(own + "/")


@dataclass(frozen=True)
class Repository:
    """A folder served as ``/NAME/``, and the groups that may use it.

    ``read_groups=None`` lets every caller with a valid token read; ``public=True``
    needs no token at all. ``cache_control`` replaces the default of never storing.
    """

    name: str
    root: Path
    public: bool = False
    read_groups: frozenset[str] | None = ANY_USER
    write_groups: frozenset[str] | None = NOBODY
    index_html: str = "index.html"
    cache_control: str | None = None
    paths: tuple[PathAccess, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"a repository name has only A-Z a-z 0-9 _ -: {self.name!r}")

    def readable(self, path: str, caller: Identity | None) -> bool:
        """Tell whether ``caller`` (``None``: no token) may read ``path``."""
        if caller is None:
            return self.public and not any(rule.covers(path) for rule in self.paths)
        top = self.public or caller.holds(self.read_groups)
        return top and all(caller.holds(rule.read_groups) for rule in self._rules(path))

    def writable(self, path: str, caller: Identity | None) -> bool:
        """Tell whether ``caller`` may upload to ``path``."""
        if caller is None:
            return False
        top = caller.holds(self.write_groups)
        return top and all(caller.holds(rule.write_groups) for rule in self._rules(path))

    def _rules(self, path: str) -> tuple[PathAccess, ...]:
        return tuple(rule for rule in self.paths if rule.covers(path))
