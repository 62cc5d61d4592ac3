"""The rest of a large body, read off aiohttp's connection without a copy.

aiohttp has each byte copied twice: out of the loop's own buffer, and by its parser. Where the
length of a body is known there is nothing left to parse, so its connection is lent to a protocol
that has the system write into the pieces themselves, and is given back afterwards.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import aiohttp

from crane_core.responses import PIECE

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

    from crane_core.responses import Piece

# A shorter one is copied, so that it does not hold the memory of a whole one.
COPIED = 64 << 10
# A rest that is worth the change of hands.
WORTH = 256 << 10
# What is used of aiohttp that it promises nobody; without it nothing is lent.
_OF_LENDER = ("transport", "read_timeout", "set_response_params", "force_close", "pause_reading")
_OF_CONTENT = ("total_bytes", "is_eof", "feed_eof")


def take_over(answer: aiohttp.ClientResponse, start: int, size: int) -> Rest | None:
    """Return the rest of a body of `size` bytes whose bytes before `start` have been read.

    None if it is not worth it, or if it cannot be done now: once more has been read it may be.
    """
    if size - start < WORTH or sys.platform == "win32":
        return None  # there asyncio copies into the pieces, and may have more than one takes
    content, connection = answer.content, answer.connection
    lender = None if connection is None else connection.protocol
    if not all(hasattr(lender, name) for name in _OF_LENDER):
        return None
    if not all(hasattr(content, name) for name in _OF_CONTENT):
        return None
    if lender is None or lender.transport is None or content.is_eof():
        return None
    if content.total_bytes != start:
        return None  # something that aiohttp has received already comes first
    return Rest(content, lender, lender.transport, start, size)


class Rest(asyncio.BufferedProtocol):
    """Reads a body from `start` up to `size`, and closes the connection if more comes.

    A piece may be large, and is in memory for as long as somebody has it. Pieces end at multiples
    of `PIECE`, where they are full: so they are written to a disk for a sixth less.
    """

    def __init__(
        self,
        content: aiohttp.StreamReader,
        lender: ResponseHandler,
        transport: asyncio.Transport,
        start: int,
        size: int,
    ) -> None:
        self._content = content
        self._lender = lender
        self._transport = transport
        self._position = start
        self._size = size
        # Seconds between two pieces.
        self._patience = lender.read_timeout
        self._buffers = _Buffers()
        self._room = self._new_room()
        self._filled = 0
        self._is_paused = False
        self._is_lost = False
        self._arrived: asyncio.Future[None] | None = None
        # This stops the lender's own watch over the silence, too.
        lender.pause_reading()
        transport.set_protocol(self)
        transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        return self._room[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take note of them."""
        self._filled += nbytes
        if self._filled == len(self._room) or self._position + self._filled >= self._size:
            self._transport.pause_reading()
            self._is_paused = True
        self._wake()

    def eof_received(self) -> None:
        """Let the connection be closed."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End the body, and tell the lender."""
        self._is_lost = True
        self._lender.connection_lost(exc)
        self._wake()

    def pause_writing(self) -> None:
        """Tell the lender, who may still be sending the request."""
        self._lender.pause_writing()

    def resume_writing(self) -> None:
        """Tell the lender."""
        self._lender.resume_writing()

    async def read(self) -> Piece:
        """Return what comes next, nothing at the end of the body; for one caller at a time.

        Raises `TimeoutError`, or aiohttp's error for a body that ends too early.
        """
        if self._position == self._size:
            return b""
        while not self._filled:
            if self._is_lost:
                raise aiohttp.ClientPayloadError("the body ended too early")
            self._arrived = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(self._patience):
                await self._arrived
        return self._next()

    def _next(self) -> Piece:
        has_surplus = self._position + self._filled > self._size
        size = min(self._filled, self._size - self._position)
        piece: Piece = self._room[:size]
        if size < COPIED:
            piece = bytes(piece)
        self._position += size
        self._filled = 0
        if self._position == self._size:
            self._give_back(has_surplus=has_surplus)
            return piece
        self._room = self._new_room()
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        return piece

    def _new_room(self) -> memoryview:
        return memoryview(self._buffers.free())[: PIECE - self._position % PIECE]

    def _give_back(self, *, has_surplus: bool) -> None:
        if self._is_lost:
            return
        self._transport.set_protocol(self._lender)
        # A new parser, for which the answer is over.
        self._lender.set_response_params()
        if has_surplus:
            self._lender.force_close()
        self._content.feed_eof()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)


class _Buffers:
    """Buffers that are used again once nobody looks at them: new ones are filled with zeros."""

    def __init__(self) -> None:
        self._all: list[bytearray] = []

    def free(self) -> bytearray:
        """Return one at which nobody looks."""
        for buffer in self._all:
            try:
                buffer.pop()  # what somebody has a view of cannot change its size
            except BufferError:
                continue
            buffer.append(0)
            return buffer
        buffer = bytearray(PIECE)
        self._all.append(buffer)
        return buffer
