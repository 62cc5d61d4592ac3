"""An index's own metadata files (PEP 658), and which of them its pages have named."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from crane_core.cache.model import StoredPage
from crane_core.errors import IndexBroken, IndexUnreachable, ProviderUnreachable
from crane_core.gateway.admission import REAUTHORISE_AFTER
from crane_core.gateway.file_answers import filename_of
from crane_core.gateway.upstream import unreachable
from crane_core.http import StreamError, read_limited
from crane_core.index.page import core_metadata
from crane_core.index.wheel_metadata import MAX_METADATA

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crane_core.cache.model import PageKey, PageStore
    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.gateway.upstream import Upstream
    from crane_core.index.page import ProjectPage

SUFFIX = ".metadata"
# Pages of that many files are not searched between two requests.
MOST_FILES = 4096
MOST_PAGES = 512


class OwnMetadata:
    """Gets metadata files, and keeps them as long as the page says that they are the same.

    Like a file of the cache: after ten minutes the index is asked whether this login may still
    have it.
    """

    def __init__(
        self,
        upstream: Upstream,
        store: PageStore,
        clock: Clock,
        may_be_stale: Callable[[str, Index, float], Awaitable[bool]],
    ) -> None:
        """`may_be_stale` says whether what was given then may be given while nobody answers."""
        self._upstream = upstream
        self._store = store
        self._clock = clock
        self._may_be_stale = may_be_stale

    async def get(
        self, file: dict[str, Any], index: Index | None, key: PageKey | None
    ) -> bytes | None:
        """Return the metadata file of a page's wheel, None if it cannot be had.

        `key` is where it is kept, if it may be. Raises a `CraneError`.
        """
        expected, url = stated_hash(file), file["url"] + SUFFIX
        version = _version(file)
        stored = await self._stored(version, key)
        if stored is not None and 0 <= self._clock.now() - stored.stored_at <= REAUTHORISE_AFTER:
            return stored.body
        try:
            body = await self._ask(url, index, expected, stored)
        except (IndexUnreachable, ProviderUnreachable):
            if stored is None or index is None:
                raise
            if not await self._may_be_stale(file["url"], index, stored.stored_at):
                raise
            return stored.body
        if body is not None and key is not None and version:
            page = StoredPage(url, {"version": version}, body, self._clock.now())
            self._store.write(key, page)
        return body

    async def before(self, file: dict[str, Any], index: Index, key: PageKey) -> bytes | None:
        """Return what was kept of it, if this login may be given that while nobody is asked."""
        stored = await self._stored(_version(file), key)
        if stored is None:
            return None
        may_be = await self._may_be_stale(file["url"], index, stored.stored_at)
        return stored.body if may_be else None

    async def _stored(self, version: str, key: PageKey | None) -> StoredPage | None:
        stored = await self._store.get(key) if key is not None and version else None
        return stored if stored and stored.headers.get("version") == version else None

    async def _ask(
        self, url: str, index: Index | None, expected: str, stored: StoredPage | None
    ) -> bytes | None:
        # By its hash it cannot have changed: what is asked is whether it may be read.
        method = "GET" if stored is None else "HEAD"
        headers = {"accept-encoding": "identity"}
        try:
            async with self._upstream.open(
                method, url, index=index, headers=headers, is_small=True
            ) as response:
                if response.status_code != 200:
                    return None
                if stored is not None:
                    return stored.body
                body = await read_limited(response, MAX_METADATA)
        except StreamError as error:
            raise unreachable(error, url) from error
        if body is not None and expected and hashlib.sha256(body).hexdigest() != expected:
            raise IndexBroken(f"{url} is not what the index's page says (sha256)")
        return body


class ListedFiles:
    """Remembers pages, to know what an index says of a file that a tool asks for."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[str, str], ProjectPage] = OrderedDict()

    def note(self, index: Index, page: ProjectPage) -> None:
        """Remember a page that a tool gets."""
        names = (f["filename"] for f in page.files if f["filename"].endswith(".whl"))
        first = next(names, None)
        if first is None or len(page.files) > MOST_FILES:
            return
        key = index.name, _project_of(first)
        self._pages[key] = page
        self._pages.move_to_end(key)
        if len(self._pages) > MOST_PAGES:
            self._pages.popitem(last=False)

    def forget(self, index: Index, project: str) -> None:
        """Forget a page."""
        self._pages.pop((index.name, project), None)

    def wheel(self, url: str, index: Index) -> dict[str, Any] | None:
        """Return what the index's page says of a wheel, None if no page was seen that names it."""
        page = self._pages.get((index.name, _project_of(filename_of(url))))
        files = page.files if page else ()
        return next((file for file in files if file["url"] == url), None)


def stated_hash(file: dict[str, Any]) -> str:
    """Return the SHA-256 that a page gives for a wheel's metadata, empty if it gives none."""
    hashes = core_metadata(file)
    stated = hashes.get("sha256") if isinstance(hashes, dict) else None
    return stated if isinstance(stated, str) else ""


def _version(file: dict[str, Any]) -> str:
    """Return what tells a wheel's metadata from another's, empty if nothing does."""
    # Of the same wheel it is the same, where the page says no more.
    wheel = file["hashes"].get("sha256")
    return stated_hash(file) or (f"of {wheel}" if wheel else "")


def _project_of(wheel: str) -> str:
    return canonicalize_name(wheel.partition("-")[0])
