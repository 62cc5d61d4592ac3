"""Each index's order of sources, as the user registered them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakSet

from crane_core.index.source import (
    BesidePrivate,
    PrivateFirst,
    PrivateIndex,
    PublicIndex,
    Source,
)
from crane_core.urls import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.cache.http_cache import CachedPages
    from crane_core.clock import Clock
    from crane_core.config.model import Configuration, Index
    from crane_core.index.provenance import Provenance
    from crane_core.index.source import PageFetcher


class SourceBuilder:
    """Builds each index's order of sources; a fallback may be a registered index itself."""

    def __init__(
        self,
        configuration: Configuration,
        pages: CachedPages,
        provenance: Provenance,
        clock: Clock,
        *,
        offline: bool,
    ) -> None:
        self._offline = offline
        self._configuration = configuration
        self._pages = pages
        self._provenance = provenance
        self._clock = clock
        self.reached: dict[str, Index] = {}
        self._made: WeakSet[PrivateIndex] = WeakSet()
        self._owners: WeakSet[PrivateFirst] = WeakSet()
        self._for_uploads: dict[str, PrivateIndex] = {}

    def private_first(self, index: Index, above: frozenset[str] = frozenset()) -> PrivateFirst:
        """Return the sources of an index; `above` are those that fall back to it."""
        return self.owner(self.private(index), self._fallback(index, above | {index.name}))

    def private(self, index: Index) -> PrivateIndex:
        """Return a registered index without regard to any other."""
        self.reached[index.name] = index
        made = PrivateIndex(index, self._fetcher(index), self._clock)
        self._made.add(made)
        return made

    def owner(self, private: PrivateIndex, fallback: Source | None) -> PrivateFirst:
        """Return an index that keeps its names from its fallback, and from others beside it."""
        made = PrivateFirst(private, fallback, self._provenance, self._clock, offline=self._offline)
        self._owners.add(made)
        return made

    async def folder_of(self, index: Index, project: str) -> str:
        """Return the URL of a project's folder at an index, where its page is or will be.

        Raises `IndexUnreachable`.
        """
        private = self._for_uploads.get(index.name)
        if private is None:
            private = self._for_uploads[index.name] = self.private(index)
        return await private.folder_of(project)

    def indexes_at(self, prefix: str) -> list[Index]:
        """Return the registered indexes with that `token_prefix` that were reached."""
        return [index for index in self.reached.values() if index.token_prefix == prefix]

    def forget(self, prefix: str, project: str) -> list[tuple[Index, str]]:
        """Let all sources forget what the index with that `token_prefix` said of a project.

        Returns the pages to forget, each with its index.
        """
        for owner in list(self._owners):
            owner.forget(project)
        made = [private for private in list(self._made) if private.index.token_prefix == prefix]
        found = [(private.index, url) for private in made for url in private.forget(project)]
        return list({(index.name, url): (index, url) for index, url in found}.values())

    def public(self, url: str) -> PublicIndex:
        """Return an index without a login, by its canonical URL."""
        return PublicIndex(url, self._fetcher(None))

    def beside(self, first: PrivateFirst, urls: Mapping[str, str]) -> dict[str, Source]:
        """Return the indexes of one command beside its first, in their order.

        Names that a registered one owns come from none that stands behind it, and from no public
        one, the first one's fallback included.
        """
        owners, public = [first], dict[str, Source]()
        sources: dict[str, Source] = {}
        for name, url in urls.items():
            registered = self._configuration.match(url)
            if registered is None:
                public[name] = self.public(canonical(url))
            else:
                owner = self.owner(self.private(registered), None)
                sources[name] = BesidePrivate(tuple(owners), owner)
                owners.append(owner)
        if first.fallback is not None:
            first.fallback = BesidePrivate(tuple(owners[1:]), first.fallback)
        return sources | {n: BesidePrivate(tuple(owners), other) for n, other in public.items()}

    def _fallback(self, index: Index, above: frozenset[str]) -> Source | None:
        url = index.fallback_url
        if url is None:
            return None
        registered = self._configuration.match(url)
        if registered is None:
            return self.public(url)
        # Two indexes that name each other: the question ends where it began.
        return None if registered.name in above else self.private_first(registered, above)

    def _fetcher(self, index: Index | None) -> PageFetcher:
        return partial(self._pages.page, index=index)
