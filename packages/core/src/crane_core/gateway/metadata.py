"""Metadata of wheels: the index's own file (PEP 658), else what is read out of the wheel.

Of its end alone where the index answers range requests, else of the wheel in the file cache.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crane_core.cache.model import PUBLIC, PageKey, StoredPage
from crane_core.errors import CraneError
from crane_core.gateway.events import Event
from crane_core.gateway.file_answers import filename_of, project_of
from crane_core.gateway.own_metadata import ListedFiles, OwnMetadata, stated_hash
from crane_core.gateway.wheel_ends import WheelEnds
from crane_core.index.page import core_metadata
from crane_core.index.wheel_metadata import NoMetadata
from crane_core.urls import within_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from crane_core.cache.model import PageStore
    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.gateway.cached_wheels import CachedWheels
    from crane_core.gateway.events import Observer
    from crane_core.gateway.upstream import Upstream
    from crane_core.index.page import ProjectPage
    from crane_core.index.source import SourcedPage

MOST_KEPT = 4096  # answers in memory; METADATA has some 5 KB
MOST_REMEMBERED = 16_384
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
        cached: CachedWheels,
        *,
        offline: bool = False,
    ) -> None:
        self._upstream = upstream
        self._store = store
        self._identity = identity
        self._clock = clock
        self._observer = observer
        self._cached = cached
        self._offline = offline
        # Indexes of whose wheels only those in the cache have metadata that we can make.
        self._rangeless: set[str] = set()
        # Wheels that were offered since they were in the cache: a promise.
        self._promised: OrderedDict[str, None] = OrderedDict()
        self._answers: OrderedDict[PageKey, _Answer] = OrderedDict()
        self._ends = WheelEnds(upstream)
        self._own = OwnMetadata(upstream, store, clock, cached.may_be_stale)
        self._listed = ListedFiles()
        # Wheels, or folders full of them, for which the index has no metadata file.
        self._without: OrderedDict[str, None] = OrderedDict()
        self._failed: OrderedDict[str, str] = OrderedDict()
        self._generation = 0

    async def of(self, file: dict[str, Any], index: Index | None) -> bytes | None:
        """Return the METADATA of a page's wheel, None if there is no way to it.

        Raises a `CraneError` if the index cannot be asked, or does not let the user in.
        """
        if not self._offline and (core_metadata(file) or self._may_do_ranges(file["url"])):
            content = await self._shared(file, index)
            # What was just asked may have told that the index answers no ranges.
            if content is not None or core_metadata(file) or self._may_do_ranges(file["url"]):
                return content
        return None if index is None else await self._from_cache(file, index)

    async def _shared(self, file: dict[str, Any], index: Index | None) -> bytes | None:
        """Return what the index has of a wheel's METADATA; asked for once for all who want it."""
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

    async def for_tool(self, url: str, index: Index) -> bytes | None:
        """Return the METADATA that a tool asks for, of a wheel whose index has none.

        pip stops where something offered cannot be had. So a wheel that was offered from the
        cache, and has left it since, is fetched again. Raises as `of`, or `StreamBroken`.
        """
        filename = filename_of(url)
        content = await self.of({"url": url, "filename": filename, "hashes": {}}, index)
        if content is not None or url not in self._promised or url in self._failed:
            return content
        try:
            return await self._cached.fetch(url, filename, index)
        except NoMetadata as error:
            self._give_up(url, filename, error.reason)
            return None

    def version(self, found: SourcedPage, project: str) -> int:
        """Return a number that grows when `offered` may offer something else on this page."""
        index = found.index
        if index is None or index.name not in self._rangeless:
            return self._generation
        return self._generation + self._cached.arrivals(index, project)

    async def own_for_tool(self, url: str, index: Index) -> bytes | None:
        """Return the index's own metadata file that a tool asks for.

        If its hash is known, or it was just asked for, on whose behalf ever. None if not, or if
        there is no such file, so that it is to be delivered as any file is. Raises as `of`.
        """
        file, identity = self._listed.wheel(url, index), self._identity(index)
        if identity is None:
            return None
        key = PageKey(f"metadata:{url}", identity)
        if self._offline:
            return None if file is None else await self._own.before(file, index, key)
        known = self._answers.get(key)
        is_news = known is not None and 0 <= self._clock.now() - known.asked_at <= NEWS_SECONDS
        if file is not None and stated_hash(file):
            if not is_news:
                self._answers.pop(key, None)
            return await self._shared(file, index)
        if known is not None and is_news:
            with contextlib.suppress(CraneError):
                return await asyncio.shield(known.task)
        return None

    def forget(self, url: str, index: Index) -> None:
        """Forget all that is known of a wheel: there may be another one at its URL now."""
        name = f"metadata:{url}"
        for key in [key for key in self._answers if key.url == name]:
            del self._answers[key]
        if (identity := self._identity(index)) is not None:
            self._store.remove(PageKey(name, identity))
        for memory in (self._promised, self._without, self._failed):
            memory.pop(url, None)
        self._without.pop(_folder(url), None)
        self._listed.forget(index, project_of(filename_of(url)))
        # What a page says of it was written before.
        self._generation += 1

    def forget_answers(self) -> None:
        """Forget what was got: the cache was cleared, and is to have it again when it is asked."""
        for key in [key for key, answer in self._answers.items() if answer.task.done()]:
            del self._answers[key]

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
        known whether the index answers range requests, its newest wheel tells. Where it answers
        none, the wheels that are in the cache are offered: two look-ups for all of a page.
        """
        index, page = found.index, found.page
        if index is None:
            return page
        self._listed.note(index, page)
        is_ours = within_folder(index.token_prefix)
        bare = [f for f in page.files if _is_bare_wheel(f) and is_ours(f["url"])]
        if not bare:
            return page
        if await self._reaches(bare[-1], index):
            wheels = sum(file["filename"].endswith(".whl") for file in page.files)
            self._note(bare, all_of=len(bare) == wheels)
            able = {f["url"] for f in bare}
        else:
            self._rangeless.add(index.name)
            able = await self._promise(bare, index)
        return page.announcing_metadata(able - self._failed.keys())

    async def _reaches(self, file: dict[str, Any], index: Index) -> bool:
        url = file["url"]
        if self._offline:
            # What was read by ranges before is kept, and nothing else is.
            return await self._kept_before(file, index) is not None
        if self._ends.does_ranges(url) is None:
            # A page must not wait for a slow file; whoever asks next finds the answer.
            with contextlib.suppress(CraneError, TimeoutError):
                await asyncio.wait_for(self._shared(file, index), PROBE_SECONDS)
        return self._ends.does_ranges(url) or False

    async def _promise(self, bare: list[dict[str, Any]], index: Index) -> set[str]:
        """Return which of the wheels can be offered since they are in the cache."""
        if self._identity(index) is None:
            return set()
        able = await self._cached.among(bare)
        for url in able:
            _remember(self._without, url)
            _remember(self._promised, url)
        return able

    def _note(self, bare: list[dict[str, Any]], *, all_of: bool) -> None:
        for place in {_folder(f["url"]) if all_of else f["url"] for f in bare}:
            _remember(self._without, place)

    async def _get(
        self, file: dict[str, Any], index: Index | None, key: PageKey | None
    ) -> bytes | None:
        if core_metadata(file):
            return await self._own.get(file, index, key)
        digest = file["hashes"].get("sha256", "")
        stored = await self._store.get(key) if key is not None else None
        if stored is not None and digest in {"", stored.headers.get("sha256", "")}:
            if "accept-ranges" in stored.headers:
                self._ends.assume(file["url"])
            return stored.body
        content = await self._from_the_end(file, index)
        if content is not None and key is not None:
            headers = {"sha256": digest}
            if self._ends.does_ranges(file["url"]):
                # For the next run of the gateway; a short wheel may have come whole.
                headers["accept-ranges"] = "bytes"
            page = StoredPage(file["url"], headers, content, self._clock.now())
            self._store.write(key, page)
        return content

    def _may_do_ranges(self, url: str) -> bool:
        known = self._ends.does_ranges(url)
        # Not known: an index may have sent a wheel whole that is shorter than what was asked for.
        return url not in self._promised if known is None else known

    async def _from_cache(self, file: dict[str, Any], index: Index) -> bytes | None:
        """Return what needs no question to the index but whether this login may read the wheel."""
        url = file["url"]
        if self._offline and (kept := await self._kept_before(file, index)) is not None:
            return kept
        if core_metadata(file) or url in self._failed:
            return None
        try:
            return await self._cached.metadata(url, file["filename"], index)
        except NoMetadata as error:
            self._give_up(url, file["filename"], error.reason)
            return None

    async def _kept_before(self, file: dict[str, Any], index: Index) -> bytes | None:
        identity = self._identity(index)
        if identity is None:
            return None
        key = PageKey(f"metadata:{file['url']}", identity)
        stored = await self._store.get(key)
        return None if stored is None else stored.body

    async def _from_the_end(self, file: dict[str, Any], index: Index | None) -> bytes | None:
        url = file["url"]
        if self._ends.does_ranges(url) is False or url in self._failed:
            return None
        try:
            return await self._ends.read(file, index)
        except NoMetadata as error:
            self._give_up(url, file["filename"], error.reason)
            return None

    def _give_up(self, url: str, filename: str, reason: str) -> None:
        _remember(self._failed, url, reason)
        self._generation += 1
        problem = f"no metadata for this file: {reason}"
        self._observer(Event("metadata", filename, problem=problem))


def _is_bare_wheel(file: dict[str, Any]) -> bool:
    # What nearly all files have is looked at first: a large page has thousands.
    if file.get("core-metadata"):
        return False
    return str(file["filename"]).endswith(".whl") and not core_metadata(file)


def _folder(url: str) -> str:
    return url.rpartition("/")[0] + "/"


def _remember(memory: OrderedDict[str, Any], key: str, value: object = None) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > MOST_REMEMBERED:
        memory.popitem(last=False)
