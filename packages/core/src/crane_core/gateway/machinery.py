"""What every gateway works with, put together once."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crane_core.auth.broker import Broker
from crane_core.auth.login import Login
from crane_core.cache.clearing import Clearings
from crane_core.cache.http_cache import CachedPages
from crane_core.cache.store import open_cache
from crane_core.gateway.ahead import Ahead, Statistics
from crane_core.gateway.answers import Tools
from crane_core.gateway.cached_wheels import CachedWheels
from crane_core.gateway.files import FileStreamer
from crane_core.gateway.metadata import WheelMetadata
from crane_core.gateway.monitor import Monitor
from crane_core.gateway.pages import PageWriter
from crane_core.gateway.publications import Publications
from crane_core.gateway.readiness import Readiness
from crane_core.gateway.sources import SourceBuilder
from crane_core.gateway.status import CacheSize, Status
from crane_core.gateway.tokens import SessionTokens
from crane_core.gateway.transports import Transports
from crane_core.gateway.uploads.courier import Courier
from crane_core.gateway.uploads.crane_sink import CraneSink
from crane_core.gateway.uploads.kinds import Kinds
from crane_core.gateway.uploads.publishing import Publishing
from crane_core.gateway.uploads.warehouse_sink import WarehouseSink
from crane_core.gateway.upstream import Upstream
from crane_core.http import TimeLimits
from crane_core.index.provenance import SqliteProvenance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from crane_core.auth.context import AuthContext
    from crane_core.cache.store import Cache
    from crane_core.clock import Clock
    from crane_core.config.model import Configuration, Index
    from crane_core.gateway.events import Observer
    from crane_core.gateway.settings import Settings
    from crane_core.index.provenance import Provenance
    from crane_core.index.source import PrivateIndex, PublicIndex, Source
    from crane_core.platform import Paths

# A single answer; what a page may take in all is in upstream.py and answers.py. A silent connection
# must be found out within a page's time, or every later page would be sent into it too.
PAGE_LIMITS = TimeLimits(connect=6.0, read=10.0, pool=30.0)
FILE_LIMITS = TimeLimits(connect=10.0, read=60.0, pool=300.0)
# What an index does with a large file before it answers, as move it to its storage, takes minutes.
# `write` is for 64 KiB: the slowest line moves them in that time.
UPLOAD_LIMITS = TimeLimits(connect=10.0, read=600.0, write=120.0, pool=60.0)
FILE_SECONDS = 30.0  # until a file begins to come


@dataclass(frozen=True, slots=True)
class Machinery:
    """What every gateway works with, whichever route its tools come by."""

    clock: Clock
    tokens: SessionTokens
    provenance: Provenance
    builder: SourceBuilder
    metadata: WheelMetadata
    monitor: Monitor
    tools: Tools
    page_wires: Transports
    file_wires: Transports
    cache: Cache
    given_again: Counter
    prefetch: bool
    publishing: Publishing
    ahead_statistics: Statistics = field(default_factory=Statistics)
    _private: dict[str, PrivateIndex] = field(default_factory=dict)
    _public: dict[str, PublicIndex] = field(default_factory=dict)

    def private_of(self, index: Index) -> PrivateIndex:
        """Return a registered index, the same one for all who share this."""
        if index.name not in self._private:
            self._private[index.name] = self.builder.private(index)
        return self._private[index.name]

    def public_of(self, url: str) -> PublicIndex:
        """Return an index without a login, the same one for all who share this."""
        if url not in self._public:
            self._public[url] = self.builder.public(url)
        return self._public[url]

    def ahead(
        self, sources: Mapping[str, Source], together: Callable[[str], tuple[str, ...]]
    ) -> Ahead:
        """Return what hands out the pages of these sources; `together` are asked as one."""
        made = Ahead(sources, self.metadata, self.clock, enabled=self.prefetch, together=together)
        self.publishing.publications.aheads.add(made)
        return made

    def status(self, indexes: Iterable[Index], ahead: Statistics) -> Status:
        """Return what is to be shown of a gateway that serves these indexes."""
        return Status(
            indexes=tuple(indexes),
            logins=self.tokens,
            monitor=self.monitor,
            ahead=ahead,
            given_again=lambda: self.given_again.value,
            cache=lambda: _size_of(self.cache),
            clock=self.clock,
        )


@dataclass(slots=True)
class Counter:
    """Counts up."""

    value: int = 0

    def __call__(self) -> None:
        """Count one more."""
        self.value += 1


@contextlib.asynccontextmanager
async def machinery(
    auth: AuthContext,
    paths: Paths,
    configuration: Configuration,
    observer: Observer,
    settings: Settings,
) -> AsyncIterator[Machinery]:
    """Yield a gateway's machinery; at the end nothing of it is left running."""
    # Pages and files have clients of their own, so that long downloads block no page.
    async with (
        Transports(PAGE_LIMITS, per_host=64) as page_wires,
        Transports(FILE_LIMITS, per_host=128) as file_wires,
        Transports(UPLOAD_LIMITS, per_host=16) as upload_wires,
    ):
        tokens = SessionTokens(Broker(auth), Login(auth))
        clock = auth.clock
        provenance = SqliteProvenance(paths.provenance)
        cache = open_cache(paths.cache, clock, settings.cache.size, auth.prompt.notice)
        # Meanwhile in a thread: the first page will need it.
        warming = asyncio.ensure_future(asyncio.to_thread(cache.warm_up))
        wires = Upstream(page_wires, tokens, clock)
        pages = CachedPages(
            wires,
            cache.recent,
            cache.contacts,
            tokens.identity,
            clock,
            stale_limit=settings.cache.stale_limit,
            offline=settings.offline,
        )
        builder = SourceBuilder(configuration, pages, provenance, clock, offline=settings.offline)
        monitor = Monitor(clock, observer)
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
        metadata = WheelMetadata(
            wires,
            cache.recent,
            tokens.identity,
            clock,
            monitor,
            CachedWheels(files),
            offline=settings.offline,
        )

        def forget_file(url: str, index: Index) -> None:
            files.forget(url)
            metadata.forget(url, index)

        clearings = Clearings(paths.cache)
        publications = Publications(
            builder, pages, provenance, forget_file, clearings, metadata.forget_answers
        )
        courier = Courier(upload_wires.for_relay, tokens, UPLOAD_LIMITS.write)
        publishing = Publishing(
            Kinds(courier),
            CraneSink(courier, builder.folder_of, clock),
            WarehouseSink(courier),
            publications,
            monitor,
            paths.cache / "spool",  # beside the cache's own
            settings.offline,
        )
        prefetch = settings.prefetch and not settings.offline
        readiness = Readiness(tokens, file_wires, enabled=prefetch)
        given_again = Counter()
        tools = Tools(
            pages=PageWriter(metadata, provenance),
            metadata=metadata,
            files=files,
            logins=tokens,
            clock=clock,
            observer=monitor,
            count_given_again=given_again,
            publications=publications,
            readiness=readiness,
        )
        try:
            yield Machinery(
                clock=clock,
                tokens=tokens,
                provenance=provenance,
                builder=builder,
                metadata=metadata,
                monitor=monitor,
                tools=tools,
                page_wires=page_wires,
                file_wires=file_wires,
                cache=cache,
                given_again=given_again,
                prefetch=prefetch,
                publishing=publishing,
            )
        finally:
            # First: a download that goes on for nobody still uses the cache.
            await readiness.close()
            await files.close()
            await metadata.close()
            await tokens.close()
            await warming
            cache.close()
            provenance.close()


def _size_of(cache: Cache) -> CacheSize | None:
    if not cache.limit:
        return None
    rows = cache.database.rows("SELECT count(*), coalesce(sum(size), 0) FROM entries")
    ((count, size),) = rows or [(0, 0)]
    return CacheSize(count, size, cache.limit)
