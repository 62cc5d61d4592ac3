"""The delay relay is a measuring device, so it is measured itself.

Times have lower bounds only: a busy machine makes everything late, and nothing early.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from benchmarks.relay import Line, relay

FAST = 1e12
# What clocks and timers may be early by.
TICK = 0.001
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def connected(
    port: int,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def read_exactly(reader: asyncio.StreamReader, size: int) -> bytes:
    async with asyncio.timeout(60):
        return await reader.readexactly(size)


def test_bytes_arrive_unchanged_and_in_order() -> None:
    sent = os.urandom(1_000_003)

    async def main() -> None:
        async with (
            listening(echo) as there,
            relay(there, delay=0.002, rate=FAST) as port,
            connected(port) as (reader, writer),
        ):
            reading = asyncio.create_task(read_exactly(reader, len(sent)))
            at = 0
            for size in (1, 2, 65_537, 7, 300_000, len(sent)):
                writer.write(sent[at : at + size])
                await writer.drain()
                at += size
            assert await reading == sent

    asyncio.run(main())


def test_each_way_takes_the_delay_and_a_new_connection_a_round_trip() -> None:
    delay = 0.03

    async def main() -> tuple[float, float]:
        async with listening(echo) as there, relay(there, delay=delay, rate=FAST) as port:
            start = time.monotonic()
            async with connected(port) as (reader, writer):
                taken = []
                for _ in range(2):
                    writer.write(b"x")
                    await read_exactly(reader, 1)
                    taken.append(time.monotonic() - start)
                    start = time.monotonic()
        return taken[0], taken[1]

    first, second = asyncio.run(main())
    assert first >= 4 * delay - TICK
    assert second >= 2 * delay - TICK


@pytest.mark.parametrize("upwards", [True, False])
def test_all_connections_share_the_rate_of_a_direction(upwards: bool) -> None:
    rate, size, count = 4e6, 250_000, 8

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(size if upwards else 1)
        writer.write(b"." * (1 if upwards else size))
        await writer.drain()

    async def one(port: int) -> None:
        async with connected(port) as (reader, writer):
            writer.write(b"." * (size if upwards else 1))
            await read_exactly(reader, 1 if upwards else size)

    async def main() -> float:
        async with listening(answer) as there, relay(there, delay=0, rate=rate) as port:
            start = time.monotonic()
            await asyncio.gather(*(one(port) for _ in range(count)))
            return time.monotonic() - start

    assert asyncio.run(main()) >= count * size / rate - TICK


def test_the_end_of_one_direction_passes_and_the_other_stays_open() -> None:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(str(len(await reader.read(-1))).encode())

    async def main() -> bytes:
        async with (
            listening(count) as there,
            relay(there, delay=0.001, rate=FAST) as port,
            connected(port) as (reader, writer),
        ):
            writer.write(b"." * 100_000)
            writer.write_eof()
            async with asyncio.timeout(60):
                return await reader.read(-1)

    assert asyncio.run(main()) == b"100000"


def test_a_connection_that_breaks_on_one_side_ends_on_the_other() -> None:
    async def abort(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.transport.abort()

    async def main() -> bytes:
        async with (
            listening(abort) as there,
            relay(there, delay=0, rate=FAST) as port,
            connected(port) as (reader, writer),
        ):
            writer.write(b"x")
            async with asyncio.timeout(60):
                return await reader.read(-1)

    assert asyncio.run(main()) == b""


def test_nothing_to_relay_to_ends_the_connection() -> None:
    async def main() -> bytes:
        async with listening(echo) as gone:
            pass
        async with (
            relay(gone, delay=0, rate=FAST) as port,
            connected(port) as (reader, _),
            asyncio.timeout(60),
        ):
            return await reader.read(-1)

    assert asyncio.run(main()) == b""


def test_a_line_delivers_one_piece_after_the_other() -> None:
    line = Line(rate=1000, delay=0.5)
    assert line.arrival(1000, now=10.0) == pytest.approx(11.5)
    assert line.arrival(500, now=10.2) == pytest.approx(12.0)
    assert line.arrival(0, now=10.3) == pytest.approx(12.0)
    assert line.too_full_for(now=10.3) == pytest.approx(11.5 - 10.3 - 0.05)
    # A line that was idle saves nothing up.
    assert line.arrival(1000, now=20.0) == pytest.approx(21.5)
    assert line.too_full_for(now=30.0) == 0
