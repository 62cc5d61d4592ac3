"""What a 1 GB wheel costs in memory on its way through `crane serve`."""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import psutil

from benchmarks.served import serving

SIZE = 1 << 30
BOUND_MB = 80
AT_ONCE = 4


def run() -> bool:
    """Measure, print, and say whether the bound holds."""
    with tempfile.TemporaryDirectory() as name:
        wheel = Path(name) / "big" / "big-1.0-py3-none-any.whl"
        wheel.parent.mkdir()
        with wheel.open("wb") as file:
            file.truncate(SIZE)  # the gateway does not look inside; a sparse file has no cost
        with serving(Path(name)) as served:
            process = psutil.Process(served.pid)
            idle = process.memory_info().rss
            url = f"{served.url}/bench/files/bench/big/{wheel.name}"
            one, seconds = _peak(process, url, 1)
            many, _ = _peak(process, url, AT_ONCE)
    print(f"memory: idle {_mb(idle)} MB, one 1 GB wheel {_mb(one)} MB ({SIZE / seconds / 1e6:.0f}")
    print(f"        MB/s), {AT_ONCE} at once {_mb(many)} MB; bound for one {BOUND_MB} MB")
    return one < BOUND_MB * 1_000_000


def _peak(process: psutil.Process, url: str, count: int) -> tuple[int, float]:
    start = time.perf_counter()
    threads = [threading.Thread(target=_download, args=(url,)) for _ in range(count)]
    for thread in threads:
        thread.start()
    peak = 0
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, process.memory_info().rss)
        time.sleep(0.01)
    return peak, time.perf_counter() - start


def _download(url: str) -> None:
    digest, size = hashlib.sha256(), 0
    with urllib.request.urlopen(url) as response:
        while chunk := response.read(1 << 18):
            digest.update(chunk)
            size += len(chunk)
    assert size == SIZE, size


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f}"
