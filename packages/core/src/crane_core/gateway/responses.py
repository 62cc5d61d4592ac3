"""Answers to tools, and how a failure reaches the person who reads the tool's output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crane_core.errors import CraneError, DiskFull, LoginError, ProviderError, SourceError
from crane_core.gateway.connection import EXTENSION
from crane_core.gateway.request_ids import with_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from crane_core.gateway.connection import Connection

    Send = Callable[[dict[str, Any]], Awaitable[None]]


async def send_bytes(
    send: Send, scope: dict[str, Any], status: int, body: bytes, headers: dict[str, str]
) -> None:
    """Send a whole body; for HEAD, its head."""
    fields = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    fields.append((b"content-length", str(len(body)).encode()))
    await _send_whole(send, scope, status, fields, body)


async def _send_whole(
    send: Send, scope: dict[str, Any], status: int, fields: list[tuple[bytes, bytes]], body: bytes
) -> None:
    if scope["method"] == "HEAD":
        body = b""
    else:
        connection: Connection = scope["extensions"][EXTENSION]
        connection.hold_head()
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def page_headers(etag: str, content_type: str, *, stale: bool = False) -> dict[str, str]:
    """Return the headers of an index page."""
    headers = {
        "content-type": content_type,
        "etag": etag,
        "vary": "accept",
        # To be asked again each time: a tool's own cache knows nothing of logins.
        "cache-control": "private, no-cache",
    }
    if stale:
        # RFC 9111 has dropped the field, but tools and people still know it.
        headers["warning"] = '110 crane "the index cannot be reached; this answer is from before"'
    return headers


async def send_page(
    send: Send, scope: dict[str, Any], body: bytes, headers: dict[str, str]
) -> None:
    """Send an index page with a validator; 304 if the tool has it already (RFC 9110 §13.1.2)."""
    if not _has_it(headers["etag"], joined(scope, b"if-none-match").decode("latin-1")):
        await send_bytes(send, scope, 200, body, headers)
        return
    fields = [(n.encode(), v.encode()) for n, v in headers.items() if n != "content-type"]
    await _send_whole(send, scope, 304, fields, b"")


def _has_it(etag: str, if_none_match: str) -> bool:
    # Weak comparison (RFC 9110 §13.1.2): W/"x" is "x" too.
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags


def finished_head(body: bytes, headers: dict[str, str]) -> bytes:
    """Return the head of a whole answer, without its Date and the line that ends it."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"content-length: {len(body)}")
    return ("HTTP/1.1 200 OK\r\n" + "\r\n".join(lines) + "\r\n").encode("latin-1")


async def send_redirect(send: Send, scope: dict[str, Any], location: str) -> None:
    """Send the tool to the canonical spelling of a path on this gateway."""
    await send_bytes(send, scope, 301, b"", {"location": location, "cache-control": "no-store"})


async def send_problem(
    send: Send,
    scope: dict[str, Any],
    connection: Connection,
    status: int,
    text: str,
    *,
    closing: bool = False,
) -> None:
    """Send an error whose reason phrase and body both say what to do, and which request it was.

    `closing` ends the connection with it: for a request whose body was not read.
    """
    reason = with_id(to_ascii(text))
    connection.set_reason(reason)
    headers = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store"}
    if status == 405:
        headers["allow"] = "GET, HEAD"  # RFC 9110 §15.5.6 wants it
    if closing:
        headers["connection"] = "close"
    await send_bytes(send, scope, status, f"{reason}\n".encode(), headers)


def status_of(error: CraneError) -> int:
    """Return the HTTP status that stands for an error of ours.

    Never 401, which makes tools ask the user for a password, and 5xx only where a retry helps.
    """
    if isinstance(error, SourceError):
        return error.http_status
    if isinstance(error, LoginError):
        return 403
    if isinstance(error, DiskFull):
        return 507  # RFC 4918 §11.5
    return 504 if isinstance(error, ProviderError) else 500


def page_status(scope: dict[str, Any], error: CraneError) -> int:
    """Return the HTTP status of a page that cannot be had.

    uv shows no reason for a 403, but tells people to look at their credentials; any other client
    error ends it as well, and its reason phrase is shown.
    """
    status = status_of(error)
    is_uv = header(scope, b"user-agent").startswith(b"uv/")
    return 424 if status == 403 and is_uv else status


def is_pip(scope: dict[str, Any]) -> bool:
    """Whether pip asks, or a tool that is built from pip."""
    return header(scope, b"user-agent").startswith(b"pip/")


def header(scope: dict[str, Any], name: bytes) -> bytes:
    """Return a request header's value, empty if it is not there."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return next((value for key, value in headers if key == name), b"")


def joined(scope: dict[str, Any], name: bytes) -> bytes:
    """Return a request header that is a list, from all its lines (RFC 9110 §5.3)."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return b", ".join(value for key, value in headers if key == name)


def to_ascii(text: str) -> str:
    """Return text for a status line: one line, printable ASCII, of bounded length."""
    line = " ".join(text.split()).encode("ascii", "replace").decode()
    return "".join(c for c in line if c.isprintable())[:1000]
