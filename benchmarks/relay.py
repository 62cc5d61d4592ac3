"""A link with a delay and a rate, as TCP sees it: `python -m benchmarks.relay PORT`.

All connections share the link's two directions. Each is a queue in front of a line of that rate,
behind which every byte takes the delay; a new connection takes one round trip before its first
byte leaves, as TCP's handshake does. Loss and slow start are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from benchmarks.servers import free_port, running

CHUNK = 1 << 14
DELAY = 0.015  # seconds, each way
RATE = 200e6 / 8  # bytes a second, each way
QUEUED = 0.05  # seconds of the line's time that may wait in front of it


class Line:
    """One direction of the link. It only counts time; `now` is the caller's clock."""

    def __init__(self, rate: float, delay: float) -> None:
        self._rate = rate
        self._delay = delay
        self._free_at = 0.0

    def arrival(self, size: int, now: float) -> float:
        """Take so many bytes and return when the last of them arrives."""
        self._free_at = max(self._free_at, now) + size / self._rate
        return self._free_at + self._delay

    def too_full_for(self, now: float) -> float:
        """Return for how many seconds nothing more should be put on the line."""
        return max(0.0, self._free_at - now - QUEUED)


@asynccontextmanager
async def relay(
    to: int, *, delay: float = DELAY, rate: float = RATE, port: int = 0
) -> AsyncIterator[int]:
    """Relay connections to a port on this machine until the block ends; yields our port."""
    there, back = Line(rate, delay), Line(rate, delay)
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await _connect(reader, writer, to, (there, back), handshake=2 * delay)
        finally:
            connections.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=CHUNK, backlog=1024)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _connect(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    to: int,
    lines: tuple[Line, Line],
    handshake: float,
) -> None:
    writers = [writer]
    try:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to, limit=CHUNK)
        writers.append(far_writer)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_carry(reader, far_writer, lines[0], handshake))
            tasks.create_task(_carry(far_reader, writer, lines[1], 0))
    except* OSError:
        pass  # one end has gone; so has the other then
    finally:
        for one in writers:
            one.close()
        for one in writers:
            with contextlib.suppress(OSError):
                await one.wait_closed()


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: Line, handshake: float
) -> None:
    """Carry one direction of a connection to its end."""
    now = asyncio.get_running_loop().time
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_deliver(under_way, writer))
        await asyncio.sleep(handshake)
        data = b"."
        while data:
            data = await reader.read(CHUNK)
            under_way.put_nowait((line.arrival(len(data), now()), data))
            await asyncio.sleep(line.too_full_for(now()))


async def _deliver(
    under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
) -> None:
    """Write each piece when it is due; an empty one is the end."""
    now = asyncio.get_running_loop().time
    while True:
        due, data = await under_way.get()
        await asyncio.sleep(max(0.0, due - now()))
        if not data:
            writer.write_eof()
            return
        writer.write(data)
        await writer.drain()


@contextmanager
def relaying(to: int) -> Iterator[int]:
    """Run a relay in a process of its own until the block ends; yields its port."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.relay", str(to), "--port", str(port)]
    root = str(Path(__file__).resolve().parent.parent)
    with running("relay", command, f"http://127.0.0.1:{port}/", environ={"PYTHONPATH": root}):
        yield port


async def _main(to: int, port: int) -> None:
    async with relay(to, port=port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("to", type=int)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(arguments.to, arguments.port))
