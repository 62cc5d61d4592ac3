"""Files of a private index, streamed: never a whole one in memory, never changed bytes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from crane_core.errors import FileChanged, IndexUnreachable
from crane_core.gateway.responses import header
from crane_core.gateway.upstream import unreachable
from crane_core.http import StreamError
from crane_core.index.answer import refused
from crane_core.index.page import DISTRIBUTION_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crane_core.config.model import Index
    from crane_core.gateway.responses import Send
    from crane_core.gateway.upstream import Upstream
    from crane_core.http import Response
    from crane_core.index.provenance import Provenance

FORWARDED_REQUEST = ("accept", "range", "if-range", "if-none-match", "if-modified-since")
FORWARDED_RESPONSE = (
    "content-type", "content-length", "content-range", "accept-ranges", "etag", "last-modified",
    "cache-control", "content-disposition", "retry-after",
)  # fmt: skip


class FileStreamer:
    """Streams files from an index and remembers what they hashed to."""

    def __init__(self, upstream: Upstream, provenance: Provenance) -> None:
        self._upstream = upstream
        self._provenance = provenance
        self._changed: set[str] = set()

    async def stream(self, send: Send, scope: dict[str, Any], url: str, index: Index) -> int:
        """Send the file at `url` to the tool and return its size in bytes.

        Raises a `CraneError` before anything was sent, or `StreamBroken` afterwards: then the
        connection must be cut, so that the tool does not take a part for the whole.
        """
        if url in self._changed:
            raise changed(url, index)
        method = scope["method"]
        headers = {
            n: v for n in FORWARDED_REQUEST if (v := header(scope, n.encode()).decode("latin-1"))
        }
        headers["accept-encoding"] = "identity"
        async with self._upstream.open(method, url, index=index, headers=headers) as response:
            require_file(response, url)
            await send(_head(response))
            if method == "HEAD" or response.status_code == 304:
                await send({"type": "http.response.body", "body": b""})
                return 0
            return await self._body(send, response, url, index)

    async def _body(self, send: Send, response: Response, url: str, index: Index) -> int:
        whole = response.status_code == 200 and is_distribution(url)
        digest = hashlib.sha256()
        size = 0
        # The last chunk is held back until the hash is known: without it no tool has a file.
        held = b""
        try:
            async for chunk in _chunks(response):
                digest.update(chunk)
                size += len(chunk)
                if held:
                    await send({"type": "http.response.body", "body": held, "more_body": True})
                held = chunk
        except StreamError as error:
            raise StreamBroken(str(unreachable(error, url))) from error
        if whole:
            self._verify(url, digest.hexdigest(), index)
        await send({"type": "http.response.body", "body": held})
        return size

    def _verify(self, url: str, sha256: str, index: Index) -> None:
        known = self._provenance.sha256(url)
        if known is None:
            project = project_of(filename_of(url))
            self._provenance.record_file(url, sha256, index_url=index.url, project=project)
        elif known != sha256:
            self._changed.add(url)
            raise StreamBroken(changed(url, index).line)


class StreamBroken(Exception):
    """A body that cannot be completed; what was sent of it must not be taken for a file."""


def changed(url: str, index: Index) -> FileChanged:
    """Return the error for other bytes under a known URL."""
    name = filename_of(url)
    return FileChanged(
        f"{name} at {index.name} is not the file it was before",
        hint=f"ask who replaced it; to accept it: crane index release {index.name} "
        f"{project_of(name)}",
    )


def require_file(response: Response, url: str) -> None:
    """Raise our error unless the answer is a file, a part of one, or *unchanged*."""
    status = response.status_code
    if status in {200, 206, 304, 404, 410, 416}:
        if status == 200 and _is_html(response) and is_distribution(url):
            raise refused(url, "it answered with a web page where a file is due")
        return
    if status in {401, 403}:
        raise refused(url, f"HTTP {status}")
    raise IndexUnreachable(f"{url} answered HTTP {status}", hint="try again in a minute")


def is_distribution(url: str) -> bool:
    """Whether the URL names a wheel or sdist."""
    return filename_of(url).endswith(DISTRIBUTION_SUFFIXES)


def filename_of(url: str) -> str:
    """Return the last segment of a URL's path, decoded."""
    return unquote(urlsplit(url).path.rsplit("/", 1)[-1])


def project_of(filename: str) -> str:
    """Return the normalised project that a file name belongs to (PEP 427, PEP 625)."""
    if filename.endswith((".whl", ".egg", ".whl.metadata")):
        return canonicalize_name(filename.split("-", 1)[0])
    return canonicalize_name(filename.rsplit("-", 1)[0])


def _is_html(response: Response) -> bool:
    return str(response.headers.get("content-type", "")).startswith("text/html")


def _head(response: Response) -> dict[str, Any]:
    encoded = "content-encoding" in response.headers
    headers = [
        (name.encode(), response.headers[name].encode("latin-1"))
        for name in FORWARDED_RESPONSE
        # Decoded on the way, since we asked for no encoding: its length is not ours.
        if name in response.headers and not (encoded and name == "content-length")
    ]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


def _chunks(response: Response) -> AsyncIterator[bytes]:
    if "content-encoding" in response.headers:
        return response.aiter_bytes()
    return response.aiter_raw()
