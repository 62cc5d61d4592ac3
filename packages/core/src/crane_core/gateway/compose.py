"""How the gateway's parts are put together, in the order in which a request meets them."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from crane_core.auth.broker import Broker
from crane_core.auth.login import Login
from crane_core.gateway.app import Gateway
from crane_core.gateway.files import FileStreamer
from crane_core.gateway.tokens import SessionTokens
from crane_core.gateway.upstream import Upstream
from crane_core.http import Clients, TimeLimits
from crane_core.index.provenance import SqliteProvenance
from crane_core.index.source import (
    BesidePrivate,
    PrivateFirst,
    PrivateIndex,
    PublicIndex,
    Source,
)
from crane_core.urls import canonical

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from pathlib import Path

    from crane_core.auth.context import AuthContext
    from crane_core.clock import Clock
    from crane_core.config.model import Configuration, Index
    from crane_core.gateway.events import Observer
    from crane_core.gateway.guard import Guard
    from crane_core.index.provenance import Provenance
    from crane_core.index.source import PageFetcher

# A single answer; what a page may take in all is in app.py.
PAGE_LIMITS = TimeLimits(connect=6.0, read=12.0, pool=30.0)
FILE_LIMITS = TimeLimits(connect=10.0, read=60.0, pool=300.0)


@contextlib.asynccontextmanager
async def gateway(
    auth: AuthContext,
    provenance_file: Path,
    configuration: Configuration,
    indexes: Iterable[Index],
    guard: Guard,
    observer: Observer,
    beside: Mapping[str, str] | None = None,
) -> AsyncIterator[Gateway]:
    """Yield a gateway for these indexes; at the end nothing of it is left running.

    `beside` are further index URLs by name, which answer only for names that the first index
    does not own.
    """
    # Pages and files have clients of their own, so that long downloads block no page.
    async with (
        Clients(limits=PAGE_LIMITS, connections=64) as page_clients,
        Clients(limits=FILE_LIMITS, connections=32) as file_clients,
    ):
        tokens = SessionTokens(Broker(auth), Login(auth))
        provenance = SqliteProvenance(provenance_file)
        pages = Upstream(page_clients, tokens, auth.clock)
        builder = SourceBuilder(configuration, pages, provenance, auth.clock)
        private = {index.name: builder.private_first(index) for index in indexes}
        others = builder.beside(next(iter(private.values())), beside) if beside else {}
        files = FileStreamer(Upstream(file_clients, tokens, auth.clock), provenance)
        try:
            yield Gateway(private, others, builder.reached, files, guard, provenance, observer)
        finally:
            await tokens.close()
            provenance.close()


class SourceBuilder:
    """Builds each index's order of sources; a fallback may be a registered index itself."""

    def __init__(
        self, configuration: Configuration, pages: Upstream, provenance: Provenance, clock: Clock
    ) -> None:
        self._configuration = configuration
        self._pages = pages
        self._provenance = provenance
        self._clock = clock
        self.reached: dict[str, Index] = {}

    def private_first(self, index: Index, above: frozenset[str] = frozenset()) -> PrivateFirst:
        """Return the sources of an index; `above` are those that fall back to it."""
        self.reached[index.name] = index
        private = PrivateIndex(index, self._fetcher(index), self._clock)
        fallback = self._fallback(index, above | {index.name})
        return PrivateFirst(private, fallback, self._provenance, self._clock)

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
                public[name] = PublicIndex(canonical(url), self._fetcher(None))
            else:
                self.reached[registered.name] = registered
                private = PrivateIndex(registered, self._fetcher(registered), self._clock)
                owner = PrivateFirst(private, None, self._provenance, self._clock)
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
            return PublicIndex(url, self._fetcher(None))
        # Two indexes that name each other: the question ends where it began.
        return None if registered.name in above else self.private_first(registered, above)

    def _fetcher(self, index: Index | None) -> PageFetcher:
        return partial(self._pages.page, index=index)
