"""METADATA out of wheels that are in the file cache, for an index that answers no ranges."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from crane_core.index.wheel_metadata import NoMetadata, metadata_of_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crane_core.config.model import Index
    from crane_core.gateway.admission import Hit
    from crane_core.gateway.files import FileStreamer

MOST_KEPT = 1024  # METADATA has some 5 KB


class CachedWheels:
    """Reads METADATA of wheels that the cache has, if whoever is logged in may have the wheel.

    What a wheel says is kept by the wheel's hash; whether this login may read it is asked as for
    the wheel itself, each time.
    """

    def __init__(self, files: FileStreamer) -> None:
        self._files = files
        self._read: OrderedDict[str, bytes] = OrderedDict()

    async def among(self, wheels: Iterable[dict[str, Any]]) -> set[str]:
        """Return the URLs of those that are in the cache, and are what the page says."""
        stated = {wheel["url"]: wheel["hashes"].get("sha256") for wheel in wheels}
        held = await self._files.held(stated)
        return {url for url, sha256 in held.items() if stated[url] in {None, sha256}}

    def arrivals(self, index: Index, project: str) -> int:
        """Return a number that is another one once more of a project's files are in the cache."""
        return self._files.arrivals(index, project)

    async def may_be_stale(self, url: str, index: Index, authorised_at: float) -> bool:
        """Whether what was given then may be given while the index cannot be asked."""
        return await self._files.may_be_stale(url, index, authorised_at)

    async def metadata(self, url: str, filename: str, index: Index) -> bytes | None:
        """Return the METADATA of a wheel, None if the cache does not have the wheel.

        Raises `NoMetadata`, or a `CraneError` if the index does not let the user in.
        """
        hit = await self._files.admit(url, index)
        return None if hit is None else await self._of(hit, filename)

    async def fetch(self, url: str, filename: str, index: Index) -> bytes:
        """Return the METADATA of a wheel that has left the cache, and is fetched again for it.

        Raises `NoMetadata`, a `CraneError`, or `StreamBroken`.
        """
        await self._files.fetch(url, index)
        metadata = await self.metadata(url, filename, index)
        if metadata is None:
            raise NoMetadata("the cache has no room for the file")
        return metadata

    async def _of(self, hit: Hit, filename: str) -> bytes | None:
        key = hit.file.sha256
        if (known := self._read.get(key)) is not None:
            self._read.move_to_end(key)
            return known
        path = hit.file.path
        try:
            metadata = await asyncio.to_thread(metadata_of_file, path, filename)
        except NoMetadata:
            if not path.exists():
                return None  # it has just left the cache
            raise
        self._read[key] = metadata
        if len(self._read) > MOST_KEPT:
            self._read.popitem(last=False)
        return metadata
