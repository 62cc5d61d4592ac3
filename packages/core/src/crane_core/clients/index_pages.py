"""PEP 503 pages with hashes and metadata (PEP 658) for the folders of a static index.

For whoever reads the index without crane: its own listings have neither. They are written to disk
and never uploaded: the index takes no file twice, so a page there could not be brought up to date,
and would hide every later file.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from crane_core.errors import IndexBroken, IndexUnreachable, NotFound, NotWritable
from crane_core.files import storage_errors
from crane_core.gateway.file_answers import WHOLE, require_file
from crane_core.gateway.upstream import unreachable
from crane_core.http import StreamError
from crane_core.index.answer import Missing
from crane_core.index.page import core_metadata
from crane_core.index.source import PrivateIndex
from crane_core.index.wheel_metadata import MAX_METADATA, dependencies_of
from crane_core.sharing import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.gateway.upstream import Upstream
    from crane_core.index.provenance import Provenance

PAGE = "index.html"
SUFFIX = ".metadata"


def require_writable(folder: Path, projects: Iterable[str]) -> None:
    """Make the folder for pages, and raise `NotWritable` or `DiskFull` if no page can be there.

    For before an upload: what is published stays so, whatever becomes of its page.
    """
    with _writing(folder, folder):
        folder.mkdir(parents=True, exist_ok=True)
    # A project's own is made with its page: the index may spell the project otherwise.
    below = (folder / project for project in projects)
    for place in (folder, *(path for path in below if path.exists())):
        with _writing(place, folder), tempfile.TemporaryFile(dir=place):
            pass


@contextlib.contextmanager
def _writing(path: Path, folder: Path) -> Iterator[None]:
    try:
        with storage_errors(path):
            yield
    except NotWritable as error:
        error.hint = f"make {folder} writable for you, or name another: --index-pages DIR"
        raise


@dataclass(frozen=True, slots=True)
class PageMaker:
    """Makes the pages of one index, as its user may read it."""

    index: Index
    upstream: Upstream
    provenance: Provenance
    clock: Clock

    async def write(self, project: str, uploaded: Mapping[str, str], folder: Path) -> Path:
        """Write a project's page below `folder`, and return where; the index's own if it has one.

        `uploaded` are the digests (SHA-256) of files that are known to be there, by name. What is
        not known is read. Raises a `CraneError`.
        """
        private = PrivateIndex(self.index, partial(self._page, index=self.index), self.clock)
        place = await private.folder_of(project)
        found = await private.page(project)
        if isinstance(found, Missing):
            raise NotFound(f"{self.index.name} has no {project}")
        known = {file["filename"]: file for file in found.page.files}
        for name in uploaded:
            url = place + quote(name, safe="+!")
            # A page of the index's own does not list them yet, nor what lies beside them.
            known.setdefault(name, {"filename": name, "url": url, "hashes": {}})
        files = [await self._file(known[name], place, uploaded.get(name)) for name in sorted(known)]
        page = found.page.with_just(files)
        path = folder / unquote(place.rstrip("/").rpartition("/")[2]) / PAGE
        with _writing(path, folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{PAGE}.new")
            temporary.write_bytes(page.to_html())
            replace(temporary, path)
        return path

    async def _page(self, url: str, limit: int, index: Index) -> Any:
        return await self.upstream.page(url, limit, index)

    async def _file(self, file: dict[str, Any], place: str, uploaded: str | None) -> dict[str, Any]:
        """Return an entry with a relative link, the file's hash, and its metadata's."""
        url, name = file["url"], file["filename"]
        changed: dict[str, Any] = {}
        if "sha256" not in file["hashes"]:
            digest = uploaded or self.provenance.sha256(url) or await self._digest(url)
            changed["hashes"] = {**file["hashes"], "sha256": digest}
        may_have = uploaded is not None or core_metadata(file) is True
        if name.endswith(".whl") and may_have:
            metadata = await self._metadata(f"{url}{SUFFIX}")
            if metadata is not None:
                digest = hashlib.sha256(metadata).hexdigest()
                changed["core-metadata"] = {"sha256": digest}
                if requires := dependencies_of(metadata).requires_python:
                    changed["requires-python"] = requires
        if url == place + quote(name, safe="+!"):
            changed["url"] = quote(name, safe="+!")
        return {**file, **changed}

    async def _digest(self, url: str) -> str:
        digest = hashlib.sha256()
        try:
            async with self.upstream.open("GET", url, index=self.index, headers=WHOLE) as response:
                require_file(response, url, self.index, {})
                async for data in response.aiter_raw():
                    digest.update(data)
        except StreamError as error:
            raise unreachable(error, url) from error
        return digest.hexdigest()

    async def _metadata(self, url: str) -> bytes | None:
        body = b""
        try:
            async with self.upstream.open("GET", url, index=self.index, headers=WHOLE) as response:
                if response.status_code != 200:
                    return None
                async for data in response.aiter_raw():
                    body += data
                    if len(body) > MAX_METADATA:
                        raise IndexUnreachable(f"{url} is too long", hint=IndexBroken.next_step)
        except StreamError as error:
            raise unreachable(error, url) from error
        return body
