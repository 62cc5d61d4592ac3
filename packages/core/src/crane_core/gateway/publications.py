"""What any process of this user has published or cleared, and what is to be forgotten for that."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from typing import TYPE_CHECKING
from weakref import WeakSet

from crane_core.errors import StorageError
from crane_core.gateway.file_answers import filename_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from crane_core.cache.clearing import Clearings
    from crane_core.cache.http_cache import CachedPages
    from crane_core.config.model import Index
    from crane_core.gateway.ahead import Ahead
    from crane_core.gateway.sources import SourceBuilder
    from crane_core.index.provenance import Provenance

    ForgetFile = Callable[[str, Index], None]

# Seconds. To look takes microseconds, but so does a finished answer; no tool starts as fast.
LOOK_AGAIN = 0.01


class Publications:
    """Makes all who share a gateway forget a project's page once there is a new file in it.

    And what is known of the file, which may have been another one before. Other gateways of the
    user are told by way of the provenance, which all of them share.
    """

    def __init__(
        self,
        builder: SourceBuilder,
        pages: CachedPages,
        provenance: Provenance,
        forget_file: ForgetFile,
        clearings: Clearings,
        forget_cleared: Callable[[], None],
    ) -> None:
        """`forget_cleared` ends what is in memory of a cache that somebody has cleared."""
        self._builder = builder
        self._pages = pages
        self._provenance = provenance
        self._forget_file = forget_file
        self._clearings = clearings
        self._forget_cleared = forget_cleared
        self._counts: Counter[str] = Counter()
        self._cleared = 0
        self._seen = provenance.last_publication()
        self._looked_at = 0.0
        self.aheads: WeakSet[Ahead] = WeakSet()

    def count(self, index: Index | None) -> int:
        """Return how often there was something new at an index, or the cache was cleared."""
        self.catch_up()
        news = self._counts.get(index.token_prefix, 0) if index is not None else 0
        return news + self._cleared

    def catch_up(self) -> None:
        """Take note of what other processes have published, or cleared, by now."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_AGAIN:
            return
        self._looked_at = now
        if self._clearings.is_new():
            self._cleared += 1
            self._forget_cleared()
        news: dict[tuple[str, str], list[str]] = {}
        # What cannot be read is said where it is needed.
        with contextlib.suppress(StorageError):
            for number, prefix, project, url in self._provenance.published_since(self._seen):
                self._seen = number
                news.setdefault((prefix, project), []).extend([url] if url else [])
        for (prefix, project), urls in news.items():
            self._forget(prefix, project, urls)

    async def note(
        self, index: Index, project: str, filename: str, url: str | None, hashes: dict[str, str]
    ) -> None:
        """Take note of a file that is at an index now, at this URL if that is known.

        `hashes` are SHA-256 by what is appended to its URL: of itself, and of what was put beside
        it. Raises a `StorageError`.
        """
        try:
            await asyncio.to_thread(self._record, index, project, filename, url, hashes)
        except StorageError:
            # At least here it is to be known.
            self._forget(index.token_prefix, project, [] if url is None else [url])
            raise
        self._looked_at = 0.0
        self.catch_up()

    def _record(
        self, index: Index, project: str, filename: str, url: str | None, hashes: dict[str, str]
    ) -> None:
        provenance, prefix = self._provenance, index.token_prefix
        provenance.record_project(prefix, project).result()
        urls = [url] if url is not None else []
        if url is None:
            # The index does not say where it is: where it was before, if it was.
            known = provenance.files_of(prefix, project)
            urls = [url for url in known if filename_of(url) == filename]
        stated = {f"{url}{suffix}": sha256 for url in urls for suffix, sha256 in hashes.items()}
        provenance.record_published(stated, index_url=prefix, project=project)

    def _forget(self, prefix: str, project: str, urls: list[str]) -> None:
        self._counts[prefix] += 1
        for index, page in self._builder.forget(prefix, project):
            self._pages.forget(page, index)
        for ahead in list(self.aheads):
            ahead.forget(project)
        for index in self._builder.indexes_at(prefix):
            for url in urls:
                self._forget_file(url, index)
