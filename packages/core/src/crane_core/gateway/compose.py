"""How the gateway's parts are put together, in the order in which a request meets them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from crane_core.auth.broker import Broker
from crane_core.auth.login import Login
from crane_core.cache.http_cache import CachedPages
from crane_core.cache.settings import CacheSettings
from crane_core.cache.store import open_cache
from crane_core.gateway.ahead import Ahead
from crane_core.gateway.app import Gateway, Parts
from crane_core.gateway.files import FileStreamer
from crane_core.gateway.metadata import WheelMetadata
from crane_core.gateway.monitor import Monitor
from crane_core.gateway.pages import PageWriter
from crane_core.gateway.status import CacheSize
from crane_core.gateway.tokens import SessionTokens
from crane_core.gateway.transports import Transports
from crane_core.gateway.upstream import Upstream
from crane_core.http import TimeLimits
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

    from crane_core.auth.context import AuthContext
    from crane_core.cache.store import Cache
    from crane_core.clock import Clock
    from crane_core.config.model import Configuration, Index
    from crane_core.gateway.events import Observer
    from crane_core.gateway.guard import Guard
    from crane_core.index.provenance import Provenance
    from crane_core.index.source import PageFetcher
    from crane_core.platform import Paths

# A single answer; what a page may take in all is in upstream.py and app.py. A silent connection
# must be found out within a page's time, or every later page would be sent into it too.
PAGE_LIMITS = TimeLimits(connect=6.0, read=10.0, pool=30.0)
FILE_LIMITS = TimeLimits(connect=10.0, read=60.0, pool=300.0)
FILE_SECONDS = 30.0  # until a file begins to come


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user may choose about a gateway."""

    cache: CacheSettings = field(default_factory=CacheSettings)
    offline: bool = False
    prefetch: bool = True


@contextlib.asynccontextmanager
async def gateway(
    auth: AuthContext,
    paths: Paths,
    configuration: Configuration,
    indexes: Iterable[Index],
    guard: Guard,
    observer: Observer,
    beside: Mapping[str, str] | None = None,
    settings: Settings = Settings(),
) -> AsyncIterator[Gateway]:
    """Yield a gateway for these indexes; at the end nothing of it is left running.

    `beside` are further index URLs by name, which answer only for names that the first index
    does not own.
    """
    # Pages and files have clients of their own, so that long downloads block no page.
    async with (
        Transports(PAGE_LIMITS, per_host=64) as page_wires,
        Transports(FILE_LIMITS, per_host=128) as file_wires,
    ):
        tokens = SessionTokens(Broker(auth), Login(auth))
        clock = auth.clock
        provenance = SqliteProvenance(paths.provenance)
        cache = open_cache(paths.cache, clock, settings.cache.size, auth.prompt.notice)
        wires = Upstream(page_wires, tokens, clock)
        pages = CachedPages(
            wires,
            cache.pages,
            cache.contacts,
            tokens.identity,
            clock,
            stale_limit=settings.cache.stale_limit,
            offline=settings.offline,
        )
        builder = SourceBuilder(configuration, pages, provenance, clock, offline=settings.offline)
        private = {index.name: builder.private_first(index) for index in indexes}
        others = builder.beside(next(iter(private.values())), beside) if beside else {}
        monitor = Monitor(clock, observer)
        metadata = WheelMetadata(wires, cache.pages, tokens.identity, clock, monitor)
        together = (*others, next(iter(private))) if others else ()
        ahead = Ahead(
            {**private, **others},
            metadata,
            clock,
            enabled=settings.prefetch and not settings.offline,
            together=lambda name: together if name in together else (name,),
        )
        files = FileStreamer(
            Upstream(file_wires, tokens, clock, seconds=FILE_SECONDS),
            provenance,
            store=cache.files,
            contacts=cache.contacts,
            identity=tokens.identity,
            clock=clock,
            stale_limit=settings.cache.stale_limit,
            offline=settings.offline,
        )
        parts = Parts(
            guard=guard,
            private=private,
            beside=others,
            indexes=builder.reached,
            ahead=ahead,
            pages=PageWriter(metadata, provenance),
            metadata=metadata,
            files=files,
            logins=tokens,
            clock=clock,
            monitor=monitor,
            cache_size=lambda: _size_of(cache),
        )
        try:
            yield Gateway(parts)
        finally:
            # First: a download that goes on for nobody still uses the cache.
            await files.close()
            await ahead.close()
            await metadata.close()
            await tokens.close()
            cache.close()
            provenance.close()


def _size_of(cache: Cache) -> CacheSize | None:
    if not cache.limit:
        return None
    rows = cache.database.rows("SELECT count(*), coalesce(sum(size), 0) FROM entries")
    ((count, size),) = rows or [(0, 0)]
    return CacheSize(count, size, cache.limit)


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

    def private_first(self, index: Index, above: frozenset[str] = frozenset()) -> PrivateFirst:
        """Return the sources of an index; `above` are those that fall back to it."""
        self.reached[index.name] = index
        private = PrivateIndex(index, self._fetcher(index), self._clock)
        fallback = self._fallback(index, above | {index.name})
        return PrivateFirst(private, fallback, self._provenance, self._clock, offline=self._offline)

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
                owner = PrivateFirst(
                    private, None, self._provenance, self._clock, offline=self._offline
                )
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
