"""Files of a private index, streamed: never a whole one in memory, never changed bytes."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from crane_core.errors import FileChanged, IndexBroken, IndexUnreachable, NotFound
from crane_core.gateway.responses import header
from crane_core.gateway.upstream import unreachable
from crane_core.http import StreamError
from crane_core.index.answer import refused
from crane_core.index.page import DISTRIBUTION_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable

    from crane_core.config.model import Index
    from crane_core.gateway.responses import Send
    from crane_core.gateway.upstream import Upstream
    from crane_core.http import Response
    from crane_core.index.provenance import Provenance

FORWARDED_REQUEST = ("accept", "range", "if-range", "if-none-match", "if-modified-since")
FORWARDED_RESPONSE = frozenset({
    b"content-type", b"content-length", b"content-range", b"accept-ranges", b"etag",
    b"last-modified", b"cache-control", b"content-disposition", b"retry-after",
})  # fmt: skip


class FileStreamer:
    """Streams files from an index and remembers what they hashed to."""

    def __init__(self, upstream: Upstream, provenance: Provenance) -> None:
        self._upstream = upstream
        self._provenance = provenance
        # URLs whose bytes have changed, with the hash that they had before.
        self._changed: dict[str, str] = {}

    async def stream(
        self,
        send: Send,
        scope: dict[str, Any],
        url: str,
        index: Index,
        is_gone: Callable[[], bool],
    ) -> int:
        """Send the file at `url` to the tool and return its size in bytes.

        Raises a `CraneError` before anything was sent, or `StreamBroken` afterwards: then the
        connection must be cut, so that the tool does not take a part for the whole. Stops when
        the tool `is_gone`.
        """
        known = await asyncio.to_thread(self._provenance.sha256, url)
        if known is not None and self._changed.get(url) == known:
            raise changed(url, index)
        headers = _forwarded(scope)
        method = scope["method"]
        async with self._upstream.open(method, url, index=index, headers=headers) as response:
            require_file(response, url, index, asked_for_range="range" in headers)
            await send(_head(response))
            if method == "HEAD" or response.status_code == 304:
                await send({"type": "http.response.body", "body": b""})
                return 0
            body = _Body(send, is_gone, url)
            await body.stream(response)
            if response.status_code == 200 and body.complete:
                await self._verify(url, known, body.sha256, index)
            await body.finish()
            return body.size

    async def _verify(self, url: str, known: str | None, sha256: str, index: Index) -> None:
        if known is None:
            project = project_of(filename_of(url))
            await asyncio.to_thread(
                self._provenance.record_file,
                url,
                sha256,
                index_url=index.token_prefix,
                project=project,
            )
        elif known != sha256:
            self._changed[url] = known
            raise StreamBroken(changed(url, index).line)


class _Body:
    """A body on its way; the last chunk is held back until the hash is known.

    Without it no tool has a file.
    """

    def __init__(self, send: Send, is_gone: Callable[[], bool], url: str) -> None:
        self._send = send
        self._is_gone = is_gone
        self._url = url
        self._digest = hashlib.sha256()
        self._held = b""
        self.size = 0
        self.complete = False

    @property
    def sha256(self) -> str:
        """The hash of what has passed, in hexadecimal."""
        return self._digest.hexdigest()

    async def stream(self, response: Response) -> None:
        """Send all but the last chunk. Raises `StreamBroken` if the index breaks off."""
        try:
            async for chunk in response.aiter_raw():
                self._digest.update(chunk)
                self.size += len(chunk)
                if self._held:
                    await self._send(
                        {"type": "http.response.body", "body": self._held, "more_body": True}
                    )
                if self._is_gone():
                    return  # nobody reads on: do not fetch the rest
                self._held = chunk
        except StreamError as error:
            raise StreamBroken(str(unreachable(error, self._url))) from error
        self.complete = True

    async def finish(self) -> None:
        """Send the last chunk."""
        await self._send({"type": "http.response.body", "body": self._held})


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


def require_file(response: Response, url: str, index: Index, *, asked_for_range: bool) -> None:
    """Raise our error unless the answer is the file, the part that was asked for, or *unchanged*.

    A part that nobody asked for would escape the comparison of hashes; so would an encoding.
    """
    status, name = response.status_code, filename_of(url)
    if status in {404, 410}:
        raise NotFound(
            f"{index.name} has no {name}, or you may not read it", hint="ask its administrators"
        )
    if status in {401, 403}:
        raise refused(url, f"HTTP {status}")
    if status not in {200, 206, 304, 416}:
        raise IndexUnreachable(f"{url} answered HTTP {status}", hint="try again in a minute")
    if status == 206 and not asked_for_range:
        raise IndexBroken(f"{url} answered with a part of the file that nobody asked for")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise IndexBroken(f"{url} answered with an encoding that nobody asked for")
    if status == 200 and _is_html(response) and is_distribution(url.removesuffix(".metadata")):
        raise refused(url, "it answered with a web page where a file is due")


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


def _forwarded(scope: dict[str, Any]) -> dict[str, str]:
    """Return the request headers that concern the file; never the tool's own login or cookies."""
    values = {name: header(scope, name.encode()) for name in FORWARDED_REQUEST}
    sent = {name: value.decode("ascii", "ignore") for name, value in values.items() if value}
    return {**sent, "accept-encoding": "identity"}


def _head(response: Response) -> dict[str, Any]:
    headers = [
        (name, value)
        for name, value in ((n.lower(), v) for n, v in response.headers.raw)
        # The length of a 304 is that of the file, and no body follows.
        if name in FORWARDED_RESPONSE
        and not (name == b"content-length" and response.status_code == 304)
    ]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}
