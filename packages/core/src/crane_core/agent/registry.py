"""Which views are open, and whose they are."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from crane_core.errors import AgentTrouble
from crane_core.platform import process_mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crane_core.agent.runtime import Place
    from crane_core.clock import Clock
    from crane_core.config.model import Configuration
    from crane_core.gateway.trail import Trail
    from crane_core.gateway.views import Opened, Views, Wish

# A view that belongs to a shell (`crane env`), of whose end nobody tells us.
LONGEST_WITHOUT_OWNER = 12 * 3600.0
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass
class Held:
    """An open view: `owners` are its processes, by number, with their marks; `urls` its indexes."""

    opened: Opened
    wish: Wish
    urls: frozenset[str]
    opened_at: float
    owners: dict[int, str] = field(default_factory=dict)


class Registry:
    """Opens views and closes them when the last of their processes is gone.

    A nested `crane run` shares the view of the one around it, if it asks for the same: then it is
    two processes', since the outer one may end first.
    """

    def __init__(
        self,
        views: Views,
        configuration: Configuration,
        place: Place,
        clock: Clock,
        mark: Callable[[int], str | None] = process_mark,
    ) -> None:
        self._views = views
        self._configuration = configuration
        self._place = place
        self._clock = clock
        self._mark = mark
        self.held: dict[str, Held] = {}
        self.last_used = float("-inf")

    def open(self, wish: Wish, join: str | None = None) -> Opened:
        """Open a view, or share one that was opened for the same. Raises a `CraneError`."""
        mark = self._mark_of(wish.owner)
        held = self.held.get(join or "")
        # A view without an owner ends with its shell's `--unset`, whoever shares it.
        if held is None or not held.owners or not wish.owner or not _is_same(held.wish, wish):
            urls = self._urls(wish)
            opened = self._views.open(wish)
            if not NAME.fullmatch(opened.name):
                self._views.close(opened.name)
                raise AgentTrouble("the view has a name that is no file's")
            held = Held(opened, wish, urls, self._clock.now())
            self.held[opened.name] = held
        if wish.owner is not None:
            held.owners[wish.owner] = mark
        return held.opened

    def trail(self, name: str) -> Trail:
        """Return what has come to a view; raises `KeyError` if there is no such view."""
        return self._views.trail(name)

    def _urls(self, wish: Wish) -> frozenset[str]:
        names = self._configuration.indexes if wish.indexes is None else wish.indexes
        return frozenset(self._configuration.find(name).url for name in names)

    def _mark_of(self, owner: int | None) -> str:
        mark = "" if owner is None else self._mark(owner)
        if mark is None:
            raise AgentTrouble(f"process {owner} has ended already")
        return mark

    def close(self, name: str, owner: int | None = None) -> None:
        """Close a view, or with `owner` that process's share in it."""
        held = self.held.get(name)
        if held is None:
            return
        if owner is not None:
            held.owners.pop(owner, None)
            if held.owners:
                return
        self._end(name)

    def close_all(self) -> None:
        """Close every view."""
        for name in list(self.held):
            self._end(name)

    def sweep(self, registered: frozenset[str] | None = None) -> None:
        """Close views whose processes are gone, whose time is over, or whose index is removed.

        `registered` are the URLs of all indexes that there are now, None if none is removed.
        """
        for name in list(self._over(registered)):
            self._end(name)

    def _over(self, registered: frozenset[str] | None) -> Iterator[str]:
        now = self._clock.now()
        for name, held in self.held.items():
            had_owners = bool(held.owners)
            held.owners = {p: mark for p, mark in held.owners.items() if self._mark(p) == mark}
            is_old = now - held.opened_at > LONGEST_WITHOUT_OWNER
            is_removed = registered is not None and not held.urls <= registered
            if is_removed or ((had_owners or is_old) and not held.owners):
                yield name

    def _end(self, name: str) -> None:
        del self.held[name]
        self.last_used = self._clock.now()
        self._views.close(name)
        self._place.remove_files(name)


def _is_same(one: Wish, other: Wish) -> bool:
    return replace(one, owner=None) == replace(other, owner=None)
