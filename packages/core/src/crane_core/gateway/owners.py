"""Private-first for tools that ask several indexes by themselves.

A tool that takes the highest version of all its indexes, as pip does, must see a private name at
its private index only; docs/decisions/0010-forward-route.md has the whole rule.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from crane_core.errors import IndexRefused, LoginNeeded, ProjectBlocked
from crane_core.index.answer import Missing
from crane_core.index.source import ROOT_FRESH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crane_core.clock import Clock
    from crane_core.index.provenance import Provenance
    from crane_core.index.source import PrivateFirst, Source, SourcedPage


@dataclass(frozen=True, slots=True)
class Withheld(Missing):
    """The page of a name that a registered index owns, at another one."""

    owner: str


@dataclass(frozen=True, slots=True)
class Unread(Missing):
    """A page that the index does not show without a login of the tool's own."""


class Owners:
    """The registered indexes of one view, which own what they have.

    `is_used` says of an index by its name whether the view's tool works with it: then nobody's
    being logged in there is an error for every name, since any of them may be its own.
    """

    def __init__(
        self,
        private: Sequence[PrivateFirst],
        provenance: Provenance,
        clock: Clock,
        is_used: Callable[[str], bool],
    ) -> None:
        self._is_used = is_used
        self._private = private
        self._provenance = provenance
        self._clock = clock
        # Indexes at which nobody was logged in, and when that was found.
        self._without_login: dict[str, float] = {}

    async def owner_of(self, project: str) -> str | None:
        """Return the name of the index that owns a normalised project name, None if none does.

        Raises a `CraneError` where an index that has to be asked does not answer: its silence
        must not leave the name to others.
        """
        owned = await asyncio.gather(*(self._owns(source, project) for source in self._private))
        return next((name for name in owned if name is not None), None)

    async def _owns(self, source: PrivateFirst, project: str) -> str | None:
        index = source.private.index
        if index.is_private_name(project):
            return index.name
        if await asyncio.to_thread(self._provenance.served, index.token_prefix, project):
            return index.name
        found_at = self._without_login.get(index.name, float("-inf"))
        if self._clock.now() - found_at < ROOT_FRESH and not self._is_used(index.name):
            return None
        try:
            return index.name if await source.owns(project) else None
        except ProjectBlocked:
            return index.name
        except LoginNeeded:
            if self._is_used(index.name):
                raise
            # One that is registered and has nothing to do with this tool must not stop it.
            self._without_login[index.name] = self._clock.now()
            return None


@dataclass(frozen=True, slots=True)
class BesideOwners:
    """Another index of a view: it answers only for names that none of the owners has.

    `shows_refusals` has the tool hear itself that it is to log in there.
    """

    owners: Owners
    other: Source
    shows_refusals: bool = False

    async def page(self, project: str) -> SourcedPage | Missing:
        """Return the other index's page, or why it is not to be had here."""
        if owner := await self.owners.owner_of(project):
            return Withheld(owner)
        try:
            found = await self.other.page(project)
        except IndexRefused:
            if self.shows_refusals:
                return Unread()
            raise
        # An upload to a private index counts at once: not to be given again unasked.
        return found if isinstance(found, Missing) else replace(found, fresh_until=0.0)

    async def owned_page(self, project: str) -> SourcedPage | None:
        """Return the other index's page if that one is private, and no owner has the name."""
        if await self.owners.owner_of(project):
            return None
        return await self.other.owned_page(project)
