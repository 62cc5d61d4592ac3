"""Answers from a file in the cache: whole, in parts, or *you have it* (RFC 9110 §13, §14)."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crane_core.gateway.file_answers import StreamBroken
from crane_core.gateway.ranges import Span, Validators, wanted_spans
from crane_core.gateway.responses import header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from typing import BinaryIO

    from crane_core.gateway.admission import Hit
    from crane_core.gateway.responses import Send

# Bytes per read and write. Measured: from 128 KiB to 1 MiB makes no difference, 64 KiB is slower.
STEP = 256 << 10
# Fields of a 304 (RFC 9110 §15.4.5).
_VALIDATING = ("etag", "last-modified", "cache-control", "warning")
_STALE = '111 crane "the index cannot be reached; this file is from before"'


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: its body is made of bytes, and of parts of the file."""

    status: int
    headers: Mapping[str, str]
    body: Sequence[bytes | Span] = ()

    @property
    def size(self) -> int:
        """The length of the body."""
        return sum(part.length if isinstance(part, Span) else len(part) for part in self.body)


async def send_cached(
    send: Send, scope: dict[str, Any], hit: Hit, is_gone: Callable[[], bool]
) -> int | None:
    """Send what the tool asks for and return the size of the body that was sent.

    None, with nothing sent, if the file has left the cache meanwhile. Raises `StreamBroken` if it
    cannot be read to its end. Stops when the tool `is_gone`.
    """
    answer = choose_answer(scope, hit)
    try:
        # Before anything is sent. In a thread, as every read below: unlike a file that is just
        # being written, this one may have to come from a slow disk.
        file = await asyncio.to_thread(hit.file.path.open, "rb", buffering=0)
    except OSError:
        return None
    try:
        return await _send(send, scope["method"] == "HEAD", answer, file, is_gone)
    finally:
        file.close()


def choose_answer(scope: dict[str, Any], hit: Hit) -> Answer:
    """Return the answer to a GET or HEAD. A part is for GET only (RFC 9110 §14.2)."""
    size, headers = hit.file.size, _headers(hit)
    validators = Validators(headers["etag"], headers.get("last-modified", ""))
    if validators.is_unchanged(
        _field(scope, b"if-none-match"), _field(scope, b"if-modified-since")
    ):
        return Answer(304, {name: headers[name] for name in _VALIDATING if name in headers})
    spans = None
    if scope["method"] == "GET" and validators.allow_range(_field(scope, b"if-range")):
        spans = wanted_spans(_field(scope, b"range"), size)
    if spans is None:
        return Answer(200, headers, [Span(0, size)])
    if not spans:
        return Answer(416, {"content-range": f"bytes */{size}", "accept-ranges": "bytes"})
    if len(spans) == 1:
        return Answer(206, {**headers, "content-range": spans[0].content_range(size)}, spans)
    return _multipart(headers, spans, size)


def _headers(hit: Hit) -> dict[str, str]:
    """Return what is said of the file, in the index's own words.

    A tool that resumes compares validators, so cached answers have those of the others; our own
    only stands where the index has none.
    """
    own = {"accept-ranges": "bytes", "etag": f'"{hit.file.sha256}"'}
    stale = {"warning": _STALE} if hit.is_stale else {}
    return {**own, **hit.headers, **stale}


def _multipart(headers: Mapping[str, str], spans: Sequence[Span], size: int) -> Answer:
    """Return several parts (RFC 9110 §14.6)."""
    boundary = secrets.token_hex(16)
    kind = headers.get("content-type")
    kind_line = f"Content-Type: {kind}\r\n" if kind else ""
    body: list[bytes | Span] = []
    for span in spans:
        line = f"Content-Range: {span.content_range(size)}"
        body += [f"\r\n--{boundary}\r\n{kind_line}{line}\r\n\r\n".encode("latin-1"), span]
    body.append(f"\r\n--{boundary}--\r\n".encode())
    return Answer(
        206, {**headers, "content-type": f"multipart/byteranges; boundary={boundary}"}, body
    )


async def _send(
    send: Send, is_head: bool, answer: Answer, file: BinaryIO, is_gone: Callable[[], bool]
) -> int:
    fields = [(n.encode(), v.encode("latin-1")) for n, v in answer.headers.items()]
    if answer.status != 304:
        fields.append((b"content-length", str(answer.size).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": fields})
    left = 0 if is_head else answer.size
    if not left:
        await send({"type": "http.response.body", "body": b""})
        return 0
    async for piece in _pieces(answer, file):
        left -= len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
        if is_gone():
            break
    return answer.size - left


async def _pieces(answer: Answer, file: BinaryIO) -> AsyncIterator[bytes]:
    for part in answer.body:
        if isinstance(part, bytes):
            yield part
            continue
        offset = part.start
        while offset < part.stop:
            piece = await asyncio.to_thread(_read, file, offset, min(STEP, part.stop - offset))
            if not piece:
                raise StreamBroken("a file of the cache ends too early")
            offset += len(piece)
            yield piece


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    try:
        file.seek(offset)
        return file.read(size)
    except OSError:
        return b""


def _field(scope: dict[str, Any], name: bytes) -> str:
    return header(scope, name).decode("latin-1")
