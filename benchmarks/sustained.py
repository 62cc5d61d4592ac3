"""A minute of steady load: 500 connections, 10,000 projects, 1,000 requests a second, one core.

Nobody's speed is compared here. Memory must stay what it was once every page has been asked for,
and every descriptor must be given back.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlsplit

from benchmarks import peers
from benchmarks.load import ACCEPT, LoadFailed
from benchmarks.results import Results, Row
from benchmarks.servers import Server
from benchmarks.site import Site, older_versions
from benchmarks.tools import program
from benchmarks.upstream import upstream

CONNECTIONS = int(os.environ.get("SUSTAINED_CONNECTIONS", "500"))
PROJECTS = 10_000
FILES = 10  # on a page
RATE = 1_000.0  # requests a second, of all connections together
SECONDS = float(os.environ.get("SUSTAINED_SECONDS", "60"))
SETTLING = 10.0  # seconds within which closed connections must be gone
MB = 1e6


@dataclass
class Seen:
    """What the clients saw: times in seconds, from when a request was due to its answer's end."""

    times: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def run(_: int) -> Results:
    """Measure once, however many rounds are wanted: it takes minutes."""
    results = Results(versions=[program("nginx").version()])
    names = [f"project-{number}" for number in range(PROJECTS)]
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        for name in names:
            site.add(name, older_versions(name, FILES))
        site.finish()
        with upstream(site.folder) as index, peers.through_crane(index, "fresh") as server:
            for process in server.tree():
                process.cpu_affinity([0])
            # All pages once, as fast as they come: until then memory may grow, and what is opened
            # once (databases, connections to the index) is opened.
            idle = descriptors(server)
            asyncio.run(_drive(server, names, 2 * PROJECTS, rate=float("inf")))
            before = _settled(server, idle)
            began, cpu = time.monotonic(), server.cpu_seconds()
            seen = asyncio.run(_drive(server, names, int(RATE * SECONDS), rate=RATE))
            took, cpu = time.monotonic() - began, server.cpu_seconds() - cpu
            left = _settled(server, before)
    _add(results, seen, took, cpu, left - before)
    return results


def _add(results: Results, seen: Seen, took: float, cpu: float, descriptors_left: int) -> None:
    what = f"{CONNECTIONS} connections, {PROJECTS:,} projects, one core: "
    if seen.wrong:
        raise LoadFailed(f"{len(seen.wrong)} wrong answers, such as {seen.wrong[0]}")
    per_second = len(seen.times) / took
    percentiles = quantiles(seen.times, n=100)
    third = len(seen.memory) // 3
    first, last = median(seen.memory[:third]), median(seen.memory[-third:])
    results.add(Row(f"{what}requests", per_second, "a second", at_least=0.95 * RATE))
    results.add(Row(f"{what}p50", percentiles[49] * 1e3, "ms"))
    results.add(Row(f"{what}p99", percentiles[98] * 1e3, "ms"))
    results.add(Row(f"{what}processor", cpu / took * 100, "% of a core"))
    note = f"{first / MB:.0f} MB, then {last / MB:.0f} MB; most {max(seen.memory) / MB:.0f} MB"
    results.add(Row(f"{what}memory, last third to first", last / first, at_most=1.1, note=note))
    spread = max(seen.memory) / min(seen.memory)
    results.add(Row(f"{what}memory, most to least", spread, at_most=1.1, note=note))
    left = float(descriptors_left)
    results.add(Row(f"{what}descriptors left over", left, "", at_most=0.0))


def descriptors(server: Server) -> int:
    """Return how many descriptors a server has open."""
    return sum(process.num_fds() for process in server.tree())


def _settled(server: Server, most: int) -> int:
    """Return how many descriptors are open once those of closed connections should be gone."""
    end = time.monotonic() + SETTLING
    while (count := descriptors(server)) > most and time.monotonic() < end:
        time.sleep(0.1)
    return count


async def _drive(server: Server, names: Sequence[str], count: int, *, rate: float) -> Seen:
    """Send so many requests over all connections in turn, each at its time."""
    seen = Seen()
    watching = asyncio.create_task(_watch(server, seen))
    start = asyncio.get_running_loop().time() + 1.0
    clients = [
        _client(server.index_url, names, seen, start, range(number, count, CONNECTIONS), rate)
        for number in range(CONNECTIONS)
    ]
    try:
        await asyncio.gather(*clients)
    finally:
        watching.cancel()
    return seen


async def _watch(server: Server, seen: Seen) -> None:
    while True:
        seen.memory.append(server.memory())
        await asyncio.sleep(0.5)


async def _client(
    url: str, names: Sequence[str], seen: Seen, start: float, positions: range, rate: float
) -> None:
    """Be one connection: ask at the times of these positions, one request after the other."""
    now = asyncio.get_running_loop().time
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        for position in positions:
            due = start + position / rate
            await asyncio.sleep(max(0.0, due - now()))
            # A step without a common divisor: neighbours ask for far pages, and all are asked for.
            name = names[position * 7_919 % len(names)]
            asked = max(due, start) if rate < float("inf") else now()
            target = f"GET {parts.path}{name}/ HTTP/1.1\r\nhost: {parts.netloc}"
            writer.write(f"{target}\r\naccept: {ACCEPT}\r\n\r\n".encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            seen.times.append(now() - asked)
            if b" 200 " not in answer[:15] or f'"{name}"'.encode() not in body:
                seen.wrong.append(f"{name}: {answer[:80]!r}")
    finally:
        writer.close()
