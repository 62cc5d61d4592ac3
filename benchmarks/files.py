"""A 100 MB file: through the gateway for the first time, and again from its cache."""

from __future__ import annotations

import hashlib
import http.client
import json
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from urllib.parse import urljoin, urlsplit

from benchmarks import peers
from benchmarks.results import Chart, Results, Row, in_turn, ratios
from benchmarks.servers import Server
from benchmarks.site import Distribution, Site, random_file
from benchmarks.tools import program
from benchmarks.upstream import Upstream, upstream

SIZE = 100_000_000
FILES = 8  # with different bytes, since a cache may know a file by its hash
MOST_ROUNDS = FILES - 1  # the first one is for warming up
CACHE_DELAY = 0.3  # seconds for whatever is written behind the last byte


def project(number: int) -> str:
    """Return the name of the project with that file."""
    return f"big-{number}"


@contextmanager
def big_files(size: int = SIZE, count: int = FILES) -> Iterator[Upstream]:
    """Serve files of random bytes, one for each of so many projects."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        for number in range(count):
            name = f"big_{number}-1.0-py3-none-any.whl"
            digest = random_file(site.file(name), size)
            site.add(project(number), [Distribution(name, "1.0", digest, size)])
        site.finish()
        with upstream(site.folder) as index:
            yield index


@dataclass(frozen=True)
class Link:
    """A file as a server's page names it."""

    url: str
    sha256: str


def link(server: Server, name: str) -> Link:
    """Return the link to the newest file on a project's page."""
    request = urllib.request.Request(urljoin(server.index_url, f"{name}/"))
    request.add_header("accept", "application/vnd.pypi.simple.v1+json")
    with urllib.request.urlopen(request) as response:
        file = json.load(response)["files"][-1]
        return Link(urljoin(response.url, file["url"]), file["hashes"]["sha256"])


def download(file: Link, *, check: bool = False, pause: float = 0) -> float:
    """Read a file whole and return the seconds that it took.

    With `check` its hash is compared; with `pause` the reader waits so long after each 256 KB.
    """
    parts = urlsplit(file.url)
    buffer = memoryview(bytearray(1 << 18 if pause else 1 << 20))
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    digest, size, start = hashlib.sha256(), 0, time.perf_counter()
    try:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{file.url}: HTTP {response.status}")
        while count := response.readinto(buffer):
            size += count
            if check:
                digest.update(buffer[:count])
            if pause:
                time.sleep(pause)
    finally:
        connection.close()
    seconds = time.perf_counter() - start
    if size < 1_000_000 or (check and digest.hexdigest() != file.sha256):
        raise RuntimeError(f"{file.url}: {size} bytes, not the file")
    return seconds


@dataclass
class Runs:
    """Megabytes a second, processor seconds for each gigabyte, requests to the index."""

    speed: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def take(self, server: Server, file: Link, index: Upstream) -> None:
        """Download a file and note what it took."""
        asked = index.requests() + 1  # asking for the number counts as well
        before = server.cpu_seconds()
        seconds = download(file)
        self.speed.append(SIZE / seconds / 1e6)
        # The clock behind it ticks every 10 ms; a server that used less has used one half.
        self.cpu.append(max(server.cpu_seconds() - before, 0.005) / SIZE * 1e9)
        self.asked.append(index.requests() - asked)


def run(rounds: int) -> Results:
    """Measure every server that passes files on."""
    results = Results(versions=[program("nginx").version(), *peers.VERSIONS])
    with ExitStack() as stack:
        index = stack.enter_context(big_files())
        servers = {
            name: stack.enter_context(peer(index, "fresh")) for name, peer in peers.ALL.items()
        }
        for name in list(servers):
            try:
                download(link(servers[name], project(0)), check=True)
            except (RuntimeError, urllib.error.HTTPError) as error:
                print(f"       {name}: {error}: left out", flush=True)
                del servers[name]
        first, again = {n: Runs() for n in servers}, {n: Runs() for n in servers}
        for number in range(min(rounds, MOST_ROUNDS)):
            for name in in_turn(list(servers), number):
                file = link(servers[name], project(number + 1))
                first[name].take(servers[name], file, index)
                time.sleep(CACHE_DELAY)
                again[name].take(servers[name], file, index)
    _report(first, again, results)
    return results


def _report(first: Mapping[str, Runs], again: Mapping[str, Runs], results: Results) -> None:
    # nginx has no cache here, so its two runs are the same thing twice.
    for place, runs, bound in (("streaming", first, 0.7), ("from the cache", again, 1.0)):
        title = f"100 MB file, {place}"
        ours, limit = runs["crane"], runs["nginx"]
        note = f"{median(ours.speed):,.0f} against {median(limit.speed):,.0f} MB/s, "
        note += f"{median(ours.asked):.0f} requests to the index for each"
        what = f"{title}: crane of nginx"
        results.add(Row(what, ratios(ours.speed, limit.speed), at_least=bound, note=note))
        note = f"{median(ours.cpu):.2f} against {median(limit.cpu):.2f} s for 1 GB"
        what = f"{what}, by processor time"
        results.add(Row(what, ratios(limit.cpu, ours.cpu), at_least=bound, note=note))
        shown = {name: median(one.speed) for name, one in runs.items()}
        results.charts.append(Chart(title, "MB/s", shown))
        print(f"       {title}: " + ", ".join(f"{n} {v:,.0f}" for n, v in shown.items()))
