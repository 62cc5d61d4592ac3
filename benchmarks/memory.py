"""Memory: many files at once, read slowly, must not gather in the gateway; nor may a huge one."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from statistics import median

from benchmarks import peers
from benchmarks.files import SIZE, big_files, download, link, project
from benchmarks.results import Chart, Results, Row
from benchmarks.servers import Server

AT_ONCE = 8
PAUSE = 0.002  # after each 256 KB: slower than the index, so that a buffer would fill
HUGE = 1_000_000_000
MB = 1e6


def run(rounds: int) -> Results:
    """Measure crane's growth and, for comparison, the thread server's."""
    results = Results()
    growth: dict[str, list[float]] = {"crane": [], "nginx": [], "crane-pip's way": []}
    with big_files(count=AT_ONCE + 1) as index:
        for _ in range(rounds):
            for name, values in growth.items():
                with peers.ALL[name](index, "fresh") as server:
                    values.append(_growth(server, range(1, AT_ONCE + 1)))
    for name, values in growth.items():
        bound = 20.0 if name == "crane" else None
        title = f"memory above idle, {AT_ONCE} × {SIZE / MB:.0f} MB at once: {name}"
        results.add(Row(title, median(values), "MB", at_most=bound))
    title = f"memory above idle, {AT_ONCE} × 100 MB at once"
    results.charts.append(Chart(title, "MB", {name: median(v) for name, v in growth.items()}))
    with big_files(HUGE, count=1) as index, peers.through_crane(index, "fresh") as server:
        grown = _growth(server, [0])
        results.add(Row("memory above idle, one file of 1 GB: crane", grown, "MB", at_most=20.0))
    return results


def _growth(server: Server, numbers: Sequence[int]) -> float:
    """Return by how much its memory grows while it passes on these files, in MB."""
    if 0 not in numbers:
        download(link(server, project(0)))  # what the first file loads is there when idle
    files = [link(server, project(number)) for number in numbers]
    time.sleep(0.5)
    idle = peak = server.memory()
    failures: list[Exception] = []

    def read(number: int) -> None:
        try:
            download(files[number], check=True, pause=PAUSE)
        except Exception as error:  # noqa: BLE001 - told below, in the thread that measures
            failures.append(error)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(len(files))]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, server.memory())
        time.sleep(0.01)
    if failures:
        raise failures[0]
    return (peak - idle) / MB
