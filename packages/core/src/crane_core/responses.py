"""What comes back from a server: its shape, and how it is read within bounds."""

from __future__ import annotations

import json
import zlib
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, overload

import httpx2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_JSON_BYTES = 1 << 20

# Bytes of a part of a large body at most. Measured: 256 KiB takes a sixth more of the processor's
# time, 1 MiB no less; and eight files at once, each with four in memory, must stay within 20 MB.
PIECE = 384 << 10
# A part of a body. The bytes of a view stay as they are for as long as somebody has it.
Piece: TypeAlias = bytes | memoryview


class Headers(Protocol):
    """A response's header fields."""

    @overload
    def get(self, name: str, /) -> str | None: ...

    @overload
    def get(self, name: str, default: str, /) -> str: ...

    def get(self, name: str, default: str | None = None, /) -> str | None:
        """Return a field by its name in any case; several of one name are joined by commas."""
        ...

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """The fields as they came."""
        ...


class Response(Protocol):
    """An answer whose body may still be under way."""

    @property
    def status_code(self) -> int:
        """The status."""
        ...

    @property
    def headers(self) -> Headers:
        """The header fields."""
        ...

    @property
    def url(self) -> object:
        """What was asked for; `str()` of it is the URL."""
        ...

    def aiter_raw(self) -> AsyncIterator[Piece]:
        """Yield the body as it comes, in the encoding it has. Raises `StreamError`."""
        ...

    async def aclose(self) -> None:
        """Give up what has not been read."""
        ...


class RawHeaders:
    """Header fields as they came, found by name in any case."""

    __slots__ = ("_found", "_pairs")

    def __init__(self, pairs: tuple[tuple[bytes, bytes], ...]) -> None:
        self._pairs = pairs
        self._found: dict[str, str] = {}
        for raw_name, raw_value in pairs:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            known = self._found.get(name)
            self._found[name] = value if known is None else f"{known}, {value}"

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """The fields, in their order."""
        return list(self._pairs)

    @overload
    def get(self, name: str, /) -> str | None: ...

    @overload
    def get(self, name: str, default: str, /) -> str: ...

    def get(self, name: str, default: str | None = None, /) -> str | None:
        """Return a field; several of one name are joined by commas."""
        return self._found.get(name.lower(), default)


class BadEncoding(httpx2.DecodingError):
    """A content encoding that we did not ask for, or that does not decode."""


async def read_limited(response: Response, limit: int = MAX_JSON_BYTES) -> bytes | None:
    """Return a streamed response's decoded body, None if it is longer than `limit` bytes.

    Raises `BadEncoding`.
    """
    found = await read_packed(response, limit)
    return None if found is None else found[0]


async def read_packed(response: Response, limit: int) -> tuple[bytes, bytes] | None:
    """Return what `read_limited` does, and the same as gzip, empty if it did not come so.

    We decode gzip ourselves, a bounded piece at a time: the client's decoder turns one small
    chunk into gigabytes before anybody can count them. Raises `BadEncoding`.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip", ""}:
        raise BadEncoding(f"content encoding {encoding[:40]!r}")
    unzip = zlib.decompressobj(wbits=31) if encoding.endswith("gzip") else None
    pieces, packed, size, came = [], [], 0, 0
    async for chunk in response.aiter_raw():
        piece = bytes(chunk)  # of a view: it would keep a buffer that is much larger
        if unzip is not None:
            packed.append(piece)
            try:
                # What follows the end is not gathered.
                piece = b"" if unzip.eof else unzip.decompress(piece, limit + 1 - size)
            except zlib.error as error:
                raise BadEncoding(str(error)) from error
        pieces.append(piece)
        size += len(piece)
        came += len(chunk)
        # What comes may be more than what it says: gzip has empty blocks.
        if max(size, came) > limit:
            return None
    if unzip is not None and size and not unzip.eof:
        raise BadEncoding("the body ends too early")
    # It is there to save room.
    return b"".join(pieces), b"".join(packed) if came < size else b""


def json_object(body: bytes | None) -> dict[str, Any] | None:
    """Return the JSON object in `body`, None if it is anything else."""
    try:
        value = json.loads(body or b"")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def declared_size(response: Response) -> int | None:
    """Return the length of the body that is to follow, None if it is not said."""
    text = response.headers.get("content-length", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def server_time(response: Response) -> float | None:
    """Return the server's own time from its Date header, in seconds since the epoch."""
    try:
        return parsedate_to_datetime(response.headers.get("date", "")).timestamp()
    except (ValueError, OverflowError):
        return None
