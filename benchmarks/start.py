"""How long crane's own start takes, in bare Python starts."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psutil

from benchmarks.gateway import environment, register, serve_command
from benchmarks.results import Chart, Results, Row, in_turn, ratios
from benchmarks.servers import free_port
from benchmarks.site import Site, older_versions
from benchmarks.upstream import upstream

RUNS_PER_ROUND = 3
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "crane --help": ["-m", "crane_cli", "--help"],
    "crane --version": ["-m", "crane_cli", "--version"],
    "import crane_core": ["-c", "import crane_core"],
}
BARE, HELP, PAGE = "python -c pass", "crane --help", "crane serve until its first page"
PATIENCE = 30.0


def run(rounds: int) -> Results:
    """Measure in turn, so that a busy machine is busy for all."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder) / "site")
        site.add("small", older_versions("small", 10))
        site.finish()
        with upstream(site.folder) as index:
            home = Path(folder) / "home"
            home.mkdir()
            register(home, index.url("fresh", login=False))
            return _measure(rounds * RUNS_PER_ROUND, home)


def _measure(count: int, home: Path) -> Results:
    measures: dict[str, Callable[[], float]] = {
        **{name: _Command(arguments) for name, arguments in COMMANDS.items()},
        "crane serve until it answers": lambda: _serve(home, "/-/health"),
        PAGE: lambda: _serve(home, "/bench/simple/small/"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(-1, count):  # the first round warms the disk's cache
        for name in in_turn(list(measures), number):
            taken = measures[name]()
            if number >= 0:
                seconds[name].append(taken)
    return _report(seconds)


def _report(seconds: dict[str, list[float]]) -> Results:
    results = Results()
    bare = seconds[BARE]
    for name, taken in seconds.items():
        note = f"{median(taken) * 1000:.0f} ms, at best {min(taken) * 1000:.0f} ms"
        what = f"start: {name}, of a bare Python start"
        results.add(Row(what, ratios(taken, bare), note=note))
    # Bounds in seconds hold for the best run: a busy machine only ever adds.
    own = min(seconds[HELP]) - min(bare)
    results.add(Row(f"start: {HELP}, above a bare Python start", own, "s", at_most=0.15))
    results.add(Row(f"start: {PAGE}", min(seconds[PAGE]), "s", at_most=0.6))
    results.charts.append(
        Chart("start", "ms", {name: median(taken) * 1000 for name, taken in seconds.items()})
    )
    return results


class _Command:
    """Runs Python with these arguments."""

    def __init__(self, arguments: list[str]) -> None:
        self._command = [sys.executable, *arguments]

    def __call__(self) -> float:
        start = time.perf_counter()
        subprocess.run(self._command, check=True, capture_output=True)
        return time.perf_counter() - start


def _serve(home: Path, path: str) -> float:
    port = free_port()
    start = time.perf_counter()
    with psutil.Popen(
        serve_command(port),
        env={**psutil.Process().environ(), **environment(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _first_answer(f"http://127.0.0.1:{port}{path}", process)
            return time.perf_counter() - start
        finally:
            process.terminate()


def _first_answer(url: str, process: psutil.Popen) -> None:
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as response:
                response.read()
                return
        except urllib.error.HTTPError:
            raise
        except OSError:
            if process.poll() is not None:
                raise
            time.sleep(0.002)
