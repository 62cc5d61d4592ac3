"""Sending a file: conditional requests and, where switched on, ranges (RFC 9110)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING, BinaryIO

import anyio
from starlette.requests import Request

from .asgi import Answer, Headers, Receive, Scope, Send, response_start

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from .behaviour import Behaviour

_CHUNK = 64 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_TYPES = {
    ".html": "text/html;charset=UTF-8",
    ".json": "application/json",
    ".txt": "text/plain",
    ".zip": "application/zip",
    ".gz": "application/gzip",
    ".whl": "application/zip",
}


@dataclass(frozen=True)
class _Span:
    start: int
    length: int


@dataclass(frozen=True)
class FileAnswer:
    """A file's bytes, streamed, chunked unless ``behaviour`` says otherwise."""

    path: Path
    behaviour: Behaviour
    cache_control: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, a part of it, or word that it is unchanged."""
        request = Request(scope)
        stat = await anyio.to_thread.run_sync(self.path.stat)
        headers = self._headers(stat)
        if self._unchanged(request, stat):
            await Answer(304, headers=headers)(scope, receive, send)
            return
        span = self._span(request, stat.st_size)
        if span is None:
            bounds = (("content-range", f"bytes */{stat.st_size}"),)
            await Answer(416, headers=(*headers, *bounds))(scope, receive, send)
            return
        await self._send(span, stat.st_size, headers, send)

    def _headers(self, stat: os.stat_result) -> Headers:
        kind = _TYPES.get(self.path.suffix.lower(), "application/octet-stream")
        headers = [("last-modified", formatdate(int(stat.st_mtime), usegmt=True))]
        headers.append(("content-type", kind))
        if self.behaviour.etag:
            headers.append(("etag", _etag(stat)))
        if self.behaviour.ranges:
            headers.append(("accept-ranges", "bytes"))
        if self.cache_control is not None:
            headers.append(("cache-control", self.cache_control))
        return tuple(headers)

    def _unchanged(self, request: Request, stat: os.stat_result) -> bool:
        tags = request.headers.get("if-none-match")
        if tags is not None:
            # Its mere presence switches the date off (RFC 9110, section 13.1.3), and a
            # server without ETags has then nothing left to compare.
            return self.behaviour.etag and _etag(stat) in [tag.strip() for tag in tags.split(",")]
        return _not_newer(stat.st_mtime, request.headers.get("if-modified-since"))

    def _span(self, request: Request, size: int) -> _Span | None:
        """Return what to send, ``None`` where the wanted range lies outside the file."""
        found = _RANGE.fullmatch(request.headers.get("range", ""))
        if not self.behaviour.ranges or found is None or found.group(0) == "bytes=-":
            return _Span(0, size)
        first, last = found.groups()
        if not first:
            length = min(int(last), size)
            return _Span(size - length, length) if length else None
        start, end = int(first), min(int(last or size - 1), size - 1)
        return _Span(start, end - start + 1) if start <= end else None

    async def _send(self, span: _Span, size: int, headers: Headers, send: Send) -> None:
        partial = span.length != size
        if partial:
            last = span.start + span.length - 1
            headers = (*headers, ("content-range", f"bytes {span.start}-{last}/{size}"))
        if self.behaviour.content_length:
            headers = (*headers, ("content-length", str(span.length)))
        # Opened and closed here, not in a thread: a task that is cancelled hears no more from
        # there, and would leave the file open.
        with _opened(self.path, span.start) as opened:
            file = anyio.wrap_file(opened)
            await send(response_start(206 if partial else 200, headers))
            left = span.length
            while left > 0 and (chunk := await file.read(min(_CHUNK, left))):
                left -= len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _opened(path: Path, start: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(start)
    return file


def _etag(stat: os.stat_result) -> str:
    return f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'


def _not_newer(modified: float, since: str | None) -> bool:
    if since is None:
        return False
    try:
        return int(modified) <= parsedate_to_datetime(since).timestamp()
    except ValueError:
        return False
