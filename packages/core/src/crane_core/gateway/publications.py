"""What was published through this gateway, and what it must forget for that."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from crane_core.cache.http_cache import CachedPages
    from crane_core.config.model import Index
    from crane_core.gateway.ahead import Ahead
    from crane_core.gateway.sources import SourceBuilder
    from crane_core.index.provenance import Provenance


class Publications:
    """Makes all who share a gateway forget a project's page once there is a new file in it."""

    def __init__(self, builder: SourceBuilder, pages: CachedPages, provenance: Provenance) -> None:
        self._builder = builder
        self._pages = pages
        self._provenance = provenance
        self._counts: Counter[str] = Counter()
        self.aheads: WeakSet[Ahead] = WeakSet()

    def count(self, index: Index | None) -> int:
        """Return how often there was something new at an index."""
        return self._counts[index.name] if index is not None else 0

    async def note(self, index: Index, project: str, url: str | None, sha256: str) -> None:
        """Take note of a file that is at an index now, at this URL if that is known.

        Raises a `StorageError`.
        """
        self._counts[index.name] += 1
        urls = self._builder.forget(index, project)
        for ahead in list(self.aheads):
            ahead.forget(project)
        await asyncio.to_thread(self._forget, index, urls)
        await asyncio.wrap_future(self._provenance.record_project(index.token_prefix, project))
        if url is not None:
            prefix = index.token_prefix
            await asyncio.to_thread(
                self._provenance.record_published, url, sha256, index_url=prefix, project=project
            )

    def _forget(self, index: Index, urls: list[str]) -> None:
        for url in urls:
            self._pages.forget(url, index)
