"""Metadata of wheels: the index's own file (PEP 658), else what is read out of the wheel's end."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crane_core.cache.model import PUBLIC, PageKey, StoredPage
from crane_core.errors import CraneError, IndexBroken, IndexUnreachable
from crane_core.gateway.events import Event
from crane_core.gateway.ranges import read_content_range
from crane_core.gateway.upstream import unreachable
from crane_core.http import StreamError, read_limited
from crane_core.index.page import core_metadata
from crane_core.index.wheel_metadata import MAX_METADATA, TAIL, NoMetadata, TailReader
from crane_core.urls import Origin, origin_of, within

if TYPE_CHECKING:
    from collections.abc import Callable

    from crane_core.cache.model import PageStore
    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.gateway.events import Observer
    from crane_core.gateway.ranges import Span
    from crane_core.gateway.upstream import Upstream
    from crane_core.http import Response
    from crane_core.index.page import ProjectPage
    from crane_core.index.source import SourcedPage

SUFFIX = ".metadata"
MOST_KEPT = 4096  # answers in memory; METADATA has some 5 KB
MOST_REMEMBERED = 16_384
AT_ONCE = 24
PROBE_SECONDS = 2.0
NEWS_SECONDS = 60.0  # for which the index's own file need not be asked for again


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer, or the way to it, with the wheel's hash where the page gave one."""

    digest: str
    task: asyncio.Task[bytes | None]
    asked_at: float

    @property
    def has_failed(self) -> bool:
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)


class WheelMetadata:
    """Gets each wheel's METADATA once, and knows which wheels have none."""

    def __init__(
        self,
        upstream: Upstream,
        store: PageStore,
        identity: Callable[[Index], str | None],
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._upstream = upstream
        self._store = store
        self._identity = identity
        self._clock = clock
        self._observer = observer
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._answers: OrderedDict[PageKey, _Answer] = OrderedDict()
        self._does_ranges: dict[Origin, bool] = {}
        # Wheels, or folders full of them, for which the index has no metadata file.
        self._without: OrderedDict[str, None] = OrderedDict()
        self._failed: OrderedDict[str, str] = OrderedDict()
        self.generation = 0

    async def of(self, file: dict[str, Any], index: Index | None) -> bytes | None:
        """Return the METADATA of a page's wheel, None if there is no way to it.

        Raises a `CraneError` if the index cannot be asked, or does not let the user in.
        """
        identity = PUBLIC if index is None else self._identity(index)
        if identity is None:
            return await self._get(file, index, None)
        key = PageKey(f"metadata:{file['url']}", identity)
        digest = file["hashes"].get("sha256", "")
        known = self._answers.get(key)
        if known is None or known.has_failed or (digest and known.digest != digest):
            task = asyncio.create_task(self._get(file, index, key))
            # Who asked may all have left; asyncio complains about an error that nobody looks at.
            task.add_done_callback(lambda task: task.cancelled() or task.exception())
            known = self._answers[key] = _Answer(digest, task, self._clock.now())
            if len(self._answers) > MOST_KEPT:
                self._answers.popitem(last=False)
        # Shielded: one who leaves must not take it from the others.
        return await asyncio.shield(known.task)

    async def at_hand(self, url: str, index: Index) -> bytes | None:
        """Return the METADATA of a wheel that was just asked for, on whose behalf ever.

        None if it was not, so that the index has to be asked. Raises nothing.
        """
        identity = self._identity(index)
        known = self._answers.get(PageKey(f"metadata:{url}", identity)) if identity else None
        if known is None or self._clock.now() - known.asked_at > NEWS_SECONDS:
            return None
        with contextlib.suppress(CraneError):
            return await asyncio.shield(known.task)
        return None

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [answer.task for answer in self._answers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def has_own(self, url: str) -> bool:
        """Whether the index may have a metadata file beside this wheel."""
        return url not in self._without and _folder(url) not in self._without

    def why_not(self, url: str) -> str:
        """Return why a wheel's metadata cannot be made; empty if nothing is known against it."""
        return self._failed.get(url, "")

    async def offered(self, found: SourcedPage) -> ProjectPage:
        """Return the page with metadata offered for each wheel that we can get it for.

        Only for files of a private index: tools fetch others by themselves. Where it is not yet
        known whether the index answers range requests, its newest wheel tells.
        """
        index, page = found.index, found.page
        if index is None:
            return page
        bare = [f for f in page.files if _is_bare_wheel(f) and within(f["url"], index.token_prefix)]
        if not bare:
            return page
        if not await self._reaches(bare[-1], index):
            return page
        wheels = sum(file["filename"].endswith(".whl") for file in page.files)
        self._note(bare, all_of=len(bare) == wheels)
        able = {f["url"] for f in bare if f["url"] not in self._failed}
        return page.with_files(
            lambda file: {**file, "core-metadata": True} if file["url"] in able else file
        )

    async def _reaches(self, file: dict[str, Any], index: Index) -> bool:
        origin = origin_of(file["url"])
        if origin not in self._does_ranges:
            # A page must not wait for a slow file; whoever asks next finds the answer.
            with contextlib.suppress(CraneError, TimeoutError):
                await asyncio.wait_for(self.of(file, index), PROBE_SECONDS)
        return self._does_ranges.get(origin, False)

    def _note(self, bare: list[dict[str, Any]], *, all_of: bool) -> None:
        for place in {_folder(f["url"]) if all_of else f["url"] for f in bare}:
            _remember(self._without, place)

    async def _get(
        self, file: dict[str, Any], index: Index | None, key: PageKey | None
    ) -> bytes | None:
        digest = file["hashes"].get("sha256", "")
        stored = await asyncio.to_thread(self._store.read, key) if key is not None else None
        if stored is not None and digest in {"", stored.headers.get("sha256", "")}:
            if not core_metadata(file):
                self._does_ranges.setdefault(origin_of(file["url"]), True)
            return stored.body
        async with self._slots:
            if core_metadata(file):
                content = await self._own(file, index)
            else:
                content = await self._from_the_end(file, index)
        if content is not None and key is not None:
            page = StoredPage(file["url"], {"sha256": digest}, content, self._clock.now())
            await asyncio.to_thread(self._store.write, key, page)
        return content

    async def _own(self, file: dict[str, Any], index: Index | None) -> bytes | None:
        """Return the index's own metadata file, if its hash is the one the page gives."""
        url = file["url"] + SUFFIX
        headers = {"accept-encoding": "identity"}
        try:
            async with self._upstream.open("GET", url, index=index, headers=headers) as response:
                body = await read_limited(response, MAX_METADATA)
                status = response.status_code
        except StreamError as error:
            raise unreachable(error, url) from error
        if status != 200 or body is None:
            return None
        hashes = core_metadata(file)
        expected = hashes.get("sha256") if isinstance(hashes, dict) else None
        if expected is not None and hashlib.sha256(body).hexdigest() != expected:
            raise IndexBroken(f"{url} is not what the index's page says (sha256)")
        return body

    async def _from_the_end(self, file: dict[str, Any], index: Index | None) -> bytes | None:
        url, origin = file["url"], origin_of(file["url"])
        if self._does_ranges.get(origin) is False or url in self._failed:
            return None
        try:
            return await self._read_ranges(url, file["filename"], index)
        except NoMetadata as error:
            self._give_up(url, file["filename"], error.reason)
            return None

    async def _read_ranges(self, url: str, filename: str, index: Index | None) -> bytes | None:
        part = await self._part(url, index, f"bytes=-{TAIL}")
        if part is None:
            self._does_ranges[origin_of(url)] = False
            return None
        start, data, size = part
        reader = TailReader(filename, size)
        # In a thread: one with many thousand files takes tens of milliseconds.
        await asyncio.to_thread(reader.feed, start, data)
        while (wanted := reader.needed()) is not None:
            part = await self._part(url, index, f"bytes={wanted.start}-{wanted.stop - 1}")
            if part is None or part[2] != size:
                raise NoMetadata("the index stopped answering range requests")
            await asyncio.to_thread(reader.feed, part[0], part[1])
        return reader.metadata()

    async def _part(
        self, url: str, index: Index | None, wanted: str
    ) -> tuple[int, bytes, int] | None:
        """Return start, bytes and whole size of a part; None if the index does no ranges.

        A server may send a file whole that is shorter than what was asked for.
        """
        headers = {"range": wanted, "accept-encoding": "identity"}
        try:
            async with self._upstream.open("GET", url, index=index, headers=headers) as response:
                if response.status_code == 206:
                    span, size = _content_range(response)
                    start, length = span.start, span.length
                    data = await read_limited(response, length)
                else:
                    _require_whole(response, url)
                    data = await read_limited(response, TAIL)
                    start = 0
                    size = length = -1 if data is None else len(data)
        except StreamError as error:
            raise unreachable(error, url) from error
        if data is None and response.status_code == 200:
            return None
        if data is None or len(data) != length:
            raise NoMetadata("the index answered with another range than it said")
        if response.status_code == 206 or response.headers.get("accept-ranges") == "bytes":
            self._does_ranges[origin_of(url)] = True
        return start, data, size

    def _give_up(self, url: str, filename: str, reason: str) -> None:
        _remember(self._failed, url, reason)
        self.generation += 1
        problem = f"no metadata for this file: {reason}"
        self._observer(Event("metadata", filename, problem=problem))


def _require_whole(response: Response, url: str) -> None:
    """Raise our error unless this is the whole file."""
    if response.status_code == 200:
        return
    if response.status_code == 429 or response.status_code >= 500:
        raise IndexUnreachable(f"{url} answered HTTP {response.status_code}")
    raise NoMetadata(f"the index answered HTTP {response.status_code}")


def _content_range(response: Response) -> tuple[Span, int]:
    found = read_content_range(response.headers.get("content-range", ""))
    if found is None:
        raise NoMetadata("the index answered a range request without a Content-Range that can be")
    return found


def _is_bare_wheel(file: dict[str, Any]) -> bool:
    return str(file["filename"]).endswith(".whl") and not core_metadata(file)


def _folder(url: str) -> str:
    return url.rpartition("/")[0] + "/"


def _remember(memory: OrderedDict[str, Any], key: str, value: object = None) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > MOST_REMEMBERED:
        memory.popitem(last=False)
