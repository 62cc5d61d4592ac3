"""Files of a private index: from the cache, or streamed; never a whole one in memory."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from crane_core.cache.model import FileRecord
from crane_core.cache.settings import DEFAULT_STALE_LIMIT
from crane_core.clock import SystemClock
from crane_core.errors import IndexRefused, IndexUnreachable, NotFound
from crane_core.flight import SingleFlight
from crane_core.gateway.admission import REAUTHORISE_AFTER, Admission
from crane_core.gateway.cached_files import send_cached
from crane_core.gateway.connection import EXTENSION
from crane_core.gateway.downloads import Downloads
from crane_core.gateway.fetching import Fetch
from crane_core.gateway.file_answers import (
    PARTIAL,
    WHOLE,
    filename_of,
    forwarded,
    is_lasting,
    project_of,
    require_file,
    response_start,
)
from crane_core.gateway.file_hashes import FileHashes
from crane_core.gateway.grants import Grants, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from crane_core.cache.model import CachedFile, ContactLog, FileStore
    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.gateway.admission import Hit
    from crane_core.gateway.reader import Reader
    from crane_core.gateway.responses import Send
    from crane_core.gateway.upstream import Upstream
    from crane_core.index.provenance import Provenance


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a tool was sent: the size of the body, and where it came from."""

    size: int
    is_hit: bool = False
    is_stale: bool = False


SYSTEM_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class _Found:
    """What is known of a file that is asked for."""

    wanted: Wanted
    file: CachedFile | None = None
    record: FileRecord | None = None


class FileStreamer:
    """Gives tools the files of indexes, and remembers what they hashed to.

    A file that is in the cache comes from there, if its index has lately let whoever is logged in
    read it. Everything else comes from the index: whole files once for all who ask for them at
    the same time with the same login, and into the cache; but for those that may change, which are
    neither kept nor compared with what they were. Without an identity, which nobody has
    who is not logged in, nothing comes from the cache and nothing goes there.
    """

    def __init__(
        self,
        upstream: Upstream,
        provenance: Provenance,
        *,
        store: FileStore | None = None,
        contacts: ContactLog | None = None,
        identity: Callable[[Index], str | None] = lambda _: None,
        clock: Clock = SYSTEM_CLOCK,
        reauthorise_after: float = REAUTHORISE_AFTER,
        stale_limit: float = DEFAULT_STALE_LIMIT,
        offline: bool = False,
    ) -> None:
        self._upstream = upstream
        self._store = store
        self._identity = identity
        self._clock = clock
        self._stale_limit = stale_limit
        self._offline = offline
        self._hashes = FileHashes(provenance)
        self._grants = Grants(store, contacts, identity, clock)
        self._downloads = Downloads(store)
        self._fetching: SingleFlight[tuple[str, str | None], None] = SingleFlight()
        self._arrivals: dict[tuple[str, str], int] = {}
        self._admission = Admission(
            upstream,
            self._grants,
            clock,
            reauthorise_after=reauthorise_after,
            stale_limit=stale_limit,
            offline=offline,
        )

    async def deliver(
        self,
        send: Send,
        scope: dict[str, Any],
        url: str,
        index: Index,
        is_gone: Callable[[], bool],
        *,
        expected: str | None = None,
    ) -> Delivered:
        """Send the file at `url` to the tool, or what the tool asks for of it.

        `expected` is the hash that the index's page gives, if somebody knows. Raises a
        `CraneError` before anything was sent, or `StreamBroken` afterwards: then the connection
        must be cut, so that the tool does not take a part for the whole. Stops when the tool
        `is_gone`.
        """
        found = await self._find(Wanted(url, index, self._identity(index), expected=expected))
        if delivered := await self._from_cache(send, scope, found, is_gone):
            return delivered
        wanted = found.wanted
        if self._offline:
            raise _not_in_cache(url)
        headers = forwarded(scope)
        if scope["method"] == "HEAD":
            await self._head(send, wanted, headers)
            return Delivered(0)
        reader = self._reader(wanted, headers)
        with _called_when_closed(scope, reader.wake):
            return Delivered(await reader.deliver(send, is_gone))

    async def held(self, urls: Iterable[str]) -> dict[str, str]:
        """Return the hashes of those files that are in the cache, for whomever: two look-ups."""
        return await asyncio.to_thread(self._held, list(urls))

    async def admit(self, url: str, index: Index) -> Hit | None:
        """Return the file from the cache, if it is there and whoever is logged in may have it.

        Raises a `CraneError` if the index refuses.
        """
        found = await self._find(Wanted(url, index, self._identity(index)))
        if found.file is None:
            return None
        return await self._admission.admit(found.wanted, found.file, found.record)

    async def may_be_stale(self, url: str, index: Index, authorised_at: float) -> bool:
        """Whether what this login was given then may be given while the index cannot be asked."""
        wanted, record = Wanted(url, index, self._identity(index)), FileRecord("", authorised_at)
        limit = index.stale_seconds(self._stale_limit)
        return await self._grants.may_be_stale(wanted, record, limit)

    async def fetch(self, url: str, index: Index) -> None:
        """Bring the file into the cache; it goes on if whoever waits for it leaves.

        Raises as `deliver`. Afterwards it is there unless the cache has no room for it.
        """
        if self._offline:
            raise _not_in_cache(url)
        if self._identity(index) is None:
            # Whoever may have it must be known first; this asks for the login.
            async with self._upstream.open("HEAD", url, index=index, headers=WHOLE):
                pass
        key = url, self._identity(index)
        await self._fetching.run(key, lambda: self._fetch_whole(url, index))

    def forget(self, url: str) -> None:
        """Forget that a file has changed: somebody has put another one there."""
        self._hashes.forget(url)

    def arrivals(self, index: Index, project: str) -> int:
        """Return how many files of a project have come into the cache, by this gateway."""
        return self._arrivals.get((index.name, project), 0)

    async def close(self) -> None:
        """Give up everything under way."""
        await self._fetching.cancel()
        await self._downloads.close()
        await self._admission.close()

    def _held(self, urls: list[str]) -> dict[str, str]:
        if self._store is None:
            return {}
        known = self._hashes.known_of(urls)
        there = self._store.held(known.values())
        return {url: sha256 for url, sha256 in known.items() if sha256 in there}

    async def _fetch_whole(self, url: str, index: Index) -> None:
        wanted = (await self._find(Wanted(url, index, self._identity(index)))).wanted
        reader = self._reader(wanted, WHOLE)
        await reader.deliver(_to_nobody, lambda: False)
        await reader.settled()

    def _arrived(self, wanted: Wanted) -> None:
        key = wanted.index.name, project_of(filename_of(wanted.url))
        self._arrivals[key] = self._arrivals.get(key, 0) + 1

    async def _find(self, wanted: Wanted) -> _Found:
        """Look, and again if a download of the file has ended meanwhile.

        Between the file's being in the cache and the note of who was given it, the index would be
        asked once more.
        """
        while True:
            moment = self._downloads.now()
            found = await asyncio.to_thread(self._look, wanted)
            if found.file and found.record:
                return found
            if not await self._downloads.has_ended_since(wanted.key, moment):
                return found

    def _look(self, wanted: Wanted) -> _Found:
        if not is_lasting(wanted.url):
            return _Found(wanted)
        known = self._hashes.known(wanted.url, wanted.index)
        wanted = replace(wanted, known=known)
        # Nothing is served of which nobody knows what it should hash to; `crane index release`
        # has it forgotten, so that the file is fetched anew.
        if self._store is None or wanted.identity is None or known is None:
            return _Found(wanted)
        if wanted.expected not in {None, known}:
            return _Found(wanted)
        record = self._store.record(wanted.url, wanted.identity)
        return _Found(wanted, self._store.find(known), record)

    async def _from_cache(
        self, send: Send, scope: dict[str, Any], found: _Found, is_gone: Callable[[], bool]
    ) -> Delivered | None:
        if found.file is None:
            return None
        hit = await self._admission.admit(found.wanted, found.file, found.record)
        if hit is None:
            return None
        size = await send_cached(send, scope, hit, is_gone)
        return None if size is None else Delivered(size, is_hit=True, is_stale=hit.is_stale)

    def _reader(self, wanted: Wanted, headers: Mapping[str, str]) -> Reader:
        is_part = not headers.keys().isdisjoint(PARTIAL)
        if wanted.identity is None or is_part or not is_lasting(wanted.url):
            return self._downloads.alone(self._fetch(wanted, headers))
        return self._downloads.shared(wanted.key, lambda: self._fetch(wanted, WHOLE))

    def _fetch(self, wanted: Wanted, headers: Mapping[str, str]) -> Fetch:
        return Fetch(
            wanted, headers, self._upstream, self._hashes, self._grants, self._clock, self._arrived
        )

    async def _head(self, send: Send, wanted: Wanted, headers: Mapping[str, str]) -> None:
        try:
            async with self._upstream.open(
                "HEAD", wanted.url, index=wanted.index, headers=headers
            ) as response:
                require_file(response, wanted.url, wanted.index, headers)
        except (NotFound, IndexRefused) as error:
            await self._grants.withdraw(wanted, error)
            raise
        await send(response_start(response))
        await send({"type": "http.response.body", "body": b""})


async def _to_nobody(message: dict[str, Any]) -> None:
    """Take a part of an answer that is only to pass into the cache."""


def _not_in_cache(url: str) -> IndexUnreachable:
    return IndexUnreachable(
        f"offline, and the cache has no {filename_of(url)} for this login",
        hint="do it once without --offline or CRANE_OFFLINE",
    )


@contextlib.contextmanager
def _called_when_closed(scope: dict[str, Any], callback: Callable[[], None]) -> Iterator[None]:
    """Have the callback called when the tool leaves within the block."""
    connection = scope.get("extensions", {}).get(EXTENSION)
    waiting: list[Callable[[], None]] = getattr(connection, "when_closed", [])
    waiting.append(callback)
    try:
        yield
    finally:
        waiting.remove(callback)
