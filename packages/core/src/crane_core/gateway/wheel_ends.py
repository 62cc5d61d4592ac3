"""METADATA out of the ends of wheels, for an index that answers range requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from crane_core.errors import IndexUnreachable
from crane_core.gateway.ranges import read_content_range
from crane_core.gateway.upstream import unreachable
from crane_core.http import StreamError, read_limited
from crane_core.index.wheel_metadata import TAIL, NoMetadata, TailReader, tail_of
from crane_core.urls import Origin, origin_of

if TYPE_CHECKING:
    from crane_core.config.model import Index
    from crane_core.gateway.ranges import Span
    from crane_core.gateway.upstream import Upstream
    from crane_core.http import Response


class WheelEnds:
    """Asks for the parts of a wheel that hold its METADATA, and learns who answers so."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._does_ranges: dict[Origin, bool] = {}

    def does_ranges(self, url: str) -> bool | None:
        """Whether the server of a file answers range requests; None if that is not known."""
        return self._does_ranges.get(origin_of(url))

    def assume(self, url: str) -> None:
        """Take it that the server of a file answers them, unless something else is known."""
        self._does_ranges.setdefault(origin_of(url), True)

    async def read(self, file: dict[str, Any], index: Index | None) -> bytes | None:
        """Return the METADATA of a page's wheel, None if its index answers no ranges.

        Raises `NoMetadata`, or a `CraneError` if the index cannot be asked.
        """
        url, tail = file["url"], tail_of(file.get("size"))
        part = await self._part(url, index, f"bytes=-{tail}", tail)
        if part is None:
            self._does_ranges[origin_of(url)] = False
            return None
        start, data, size = part
        reader = TailReader(file["filename"], size)
        await _feed(reader, start, data)
        while (wanted := reader.needed()) is not None:
            part = await self._part(url, index, f"bytes={wanted.start}-{wanted.stop - 1}", TAIL)
            if part is None or part[2] != size:
                raise NoMetadata("the index stopped answering range requests")
            await _feed(reader, part[0], part[1])
        return reader.metadata()

    async def _part(
        self, url: str, index: Index | None, wanted: str, tail: int
    ) -> tuple[int, bytes, int] | None:
        """Return start, bytes and whole size of a part; None if the index does no ranges.

        A server may send a file whole that is shorter than the `tail` that was asked for.
        """
        headers = {"range": wanted, "accept-encoding": "identity"}
        try:
            async with self._upstream.open("GET", url, index=index, headers=headers) as response:
                if response.status_code == 206:
                    span, size = _content_range(response)
                    start, length = span.start, span.length
                    data = await read_limited(response, length)
                else:
                    _require_whole(response, url)
                    data = await read_limited(response, tail)
                    start = 0
                    size = length = -1 if data is None else len(data)
        except StreamError as error:
            raise unreachable(error, url) from error
        if data is None and response.status_code == 200:
            return None
        if data is None or len(data) != length:
            raise NoMetadata("the index answered with another range than it said")
        if response.status_code == 206 or response.headers.get("accept-ranges") == "bytes":
            self._does_ranges[origin_of(url)] = True
        return start, data, size


async def _feed(reader: TailReader, start: int, data: bytes) -> None:
    if len(data) <= TAIL:
        reader.feed(start, data)
    else:
        # In a thread: one with many thousand files takes tens of milliseconds.
        await asyncio.to_thread(reader.feed, start, data)


def _require_whole(response: Response, url: str) -> None:
    """Raise our error unless this is the whole file."""
    if response.status_code == 200:
        return
    if response.status_code == 429 or response.status_code >= 500:
        raise IndexUnreachable(
            f"{url} answered HTTP {response.status_code}", hint="try again in a minute"
        )
    raise NoMetadata(f"the index answered HTTP {response.status_code}")


def _content_range(response: Response) -> tuple[Span, int]:
    found = read_content_range(response.headers.get("content-range", ""))
    if found is None:
        raise NoMetadata("the index answered a range request without a Content-Range that can be")
    return found
