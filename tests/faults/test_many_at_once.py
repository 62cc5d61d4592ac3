"""Five hundred connections at once: all are answered, and all descriptors are given back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from gateway.harness import Gate, Home, index_of
from gateway.tools import until
from support.world import World

AT_ONCE = 500
EACH = 4
DESCRIPTORS = Path("/proc/self/fd")

pytestmark = pytest.mark.skipif(not DESCRIPTORS.exists(), reason="counts in /proc")


def opened() -> int:
    """Return how many descriptors this process has open, the gateway's among them."""
    return len(list(DESCRIPTORS.iterdir()))


async def ask(gate: Gate, names: list[str], number: int, all_here: asyncio.Barrier) -> int:
    """Be connected until everybody is, then ask for some pages; return how many were right."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    right = 0
    try:
        await all_here.wait()
        for turn in range(EACH):
            name = names[(number + turn) % len(names)]
            lines = (f"GET /python/simple/{name}/ HTTP/1.1", f"host: 127.0.0.1:{gate.port}", "", "")
            writer.write("\r\n".join(lines).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            right += head.startswith(b"HTTP/1.1 200 ") and f"Links for {name}".encode() in body
    finally:
        writer.close()
    return right


def test_five_hundred_connections_at_once(world: World, home: Home) -> None:
    index = index_of(world)
    home.login(index)
    names = [f"many-{number}" for number in range(20)]
    for name in names:
        world.add_private(name)
    with home.serve(index) as gate:
        assert all(gate.project(name).status_code == 200 for name in names)
        before = opened()

        async def crowd() -> list[int]:
            all_here = asyncio.Barrier(AT_ONCE)
            return await asyncio.gather(
                *(ask(gate, names, number, all_here) for number in range(AT_ONCE))
            )

        assert asyncio.run(crowd()) == [EACH] * AT_ONCE
        until(lambda: opened() <= before, f"{before} descriptors again")
