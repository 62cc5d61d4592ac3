"""httplint on every answer that a test's client gets: what it calls bad fails the test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
from httplint import HttpRequestLinter, HttpResponseLinter, levels

Fields = list[tuple[bytes, bytes]]

BAD = {levels.BAD, levels.WARN}  # a malformed entity tag is a warning to it
# Notes that are no fault of the gateway's, by httplint's name, each with the reason.
ALLOWED = {
    # It looks at the time in Date, which uvicorn renews once a second; our test files are younger.
    "LM_FUTURE": "an index's clock, or a file's age, is not ours to correct",
    "FRESHNESS_HEURISTIC": "what an index says of a file's freshness passes as it is",
    "CC_CONFLICTING": "the Crane server's Cache-Control says several things; it passes as it is",
    "STATUS_BAD_REQUEST": "the test's request was meant to be bad",
    "FIELD_DEPRECATED": "Warning tells tools and people that an answer is from before",
    "DATE_CLOCKLESS": "the page that breaks off so that pip shows the reason (ADR 0005)",
}


class BadResponse(AssertionError):
    """An answer that breaks HTTP's rules."""


def lint_raw(request: bytes, answer: bytes) -> list[str]:
    """Return what is bad in a first answer as its bytes were; nothing without a whole head.

    A body in chunks is not unpacked: httplint is given the head alone then.
    """
    request_head, _, more = request.partition(b"\r\n\r\n")
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return []
    method, target, _ = request_head.split(b"\r\n")[0].split(b" ", 2)
    if method == b"HEAD" and more:
        body = b""  # what follows is the answer to the next request
    status_line, *lines = head.split(b"\r\n")
    headers = _fields(lines)
    lengths = [int(value) for name, value in headers if name.lower() == b"content-length"]
    plain = lengths and not any(n.lower() == b"transfer-encoding" for n, _ in headers)
    return bad_notes(
        method.decode("latin-1"),
        target,
        _fields(request_head.split(b"\r\n")[1:]),
        int(status_line[9:12]),
        status_line[13:],
        headers,
        body[: lengths[0]] if plain else b"",
        complete=bool(plain) and len(body) >= lengths[0],
    )


def _fields(lines: list[bytes]) -> Fields:
    pairs = (line.partition(b":") for line in lines)
    return [(name, value.strip()) for name, _, value in pairs]


def bad_notes(
    method: str,
    target: bytes,
    request_headers: Fields,
    status: int,
    reason: bytes,
    headers: Fields,
    body: bytes,
    *,
    complete: bool = True,
) -> list[str]:
    """Return what httplint finds bad in an answer, one line each."""
    request = HttpRequestLinter()
    request.process_request_topline(method.encode(), target, b"1.1")
    request.process_headers(request_headers)
    request.finish_content(complete=True)
    # Without the time: a test that waits would find the answer's Date too old.
    response = HttpResponseLinter(_related=request)
    response.is_head_response = method == "HEAD"
    response.process_response_topline(b"1.1", str(status).encode(), reason)
    response.process_headers(headers)
    response.feed_content(body)
    response.finish_content(complete)
    found = {type(n).__name__: n.summary for n in response.notes if n.level in BAD}
    names = [name.lower() for name, _ in headers]
    if b"content-length" in names and b"transfer-encoding" in names:
        found["TWO_LENGTHS"] = "RFC 9112 §6.2: Content-Length beside Transfer-Encoding"
    kinds = [value for name, value in headers if name.lower() == b"content-type"]
    if any(kind.startswith(b"multipart/byteranges") for kind in kinds):
        # RFC 9110 §15.3.7.2: "MUST NOT generate a Content-Range"; each part has one.
        found.pop("PARTIAL_WITHOUT_RANGE", None)
    return [f"{name}: {text}" for name, text in found.items() if name not in ALLOWED]


class LintingTransport(httpx2.BaseTransport):
    """Sends requests, and looks at each answer from a port once its body has been read."""

    def __init__(self, port: int) -> None:
        self._inner = httpx2.HTTPTransport()
        self._port = port

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = self._inner.handle_request(request)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        if request.url.port != self._port:
            return response  # an index's own
        response.stream = _Linted(request, response, response.stream)
        return response

    def close(self) -> None:
        self._inner.close()


class _Linted(httpx2.SyncByteStream):
    """A body that is looked at with its head when it is over; one that breaks off is not."""

    def __init__(
        self, request: httpx2.Request, response: httpx2.Response, body: httpx2.SyncByteStream
    ) -> None:
        self._request = request
        self._response = response
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        seen = bytearray()
        for chunk in self._body:
            seen += chunk
            yield chunk
        self._look(bytes(seen))

    def _look(self, body: bytes) -> None:
        request, response = self._request, self._response
        reason: Any = response.extensions.get("reason_phrase", b"")
        found = bad_notes(
            request.method,
            request.url.raw_path,
            request.headers.raw,
            response.status_code,
            reason,
            response.headers.raw,
            body,
        )
        if found:
            head = b"\n".join(b"  " + name + b": " + value for name, value in response.headers.raw)
            raise BadResponse(
                f"{request.method} {request.url} -> {response.status_code} {reason!r}\n"
                f"{head.decode('latin-1')}\n" + "\n".join(found)
            )

    def close(self) -> None:
        self._body.close()
