"""What `crane run` costs: an agent that is found, or has to be started first."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.gateway import CRANE, environment, register
from benchmarks.results import Chart, Results, Row, in_turn, ratios

RUNS_PER_ROUND = 6
URL = "http://127.0.0.1:9/bench"  # nothing is asked of it
# What is measured ends with a byte: from there on `crane run` is another program.
SAY = "import os; os.write(1, b'.')"
# Of the standard library, what pip, Poetry, PDM and Hatch have loaded by then, all of them.
TOOL = "import dataclasses, hashlib, hmac, json, pathlib, socket, typing, urllib.request\n"
# As a plugin does it, or a command: find the agent, let it prove itself, open a view.
REUSE = """
import os
from crane_core.agent.start import open_view
from crane_core.gateway.views import Wish
from crane_core.platform import user_paths
agent, _ = open_view(user_paths(os.environ), os.environ, Wish(owner=os.getpid()), notice=print)
os.write(1, b".")
"""
BARE, FOUND, LOADED, IN_TOOL, RUN, COLD = (
    "python", "agent found, view opened", "a tool's imports", "agent found in a tool",
    "crane run echo", "crane run echo, no agent",
)  # fmt: skip


def run(rounds: int) -> Results:
    """Measure in turn, so that a busy machine is busy for all."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environ = {**os.environ, **environment(home)}
        register(home, URL)
        try:
            return _measure(rounds * RUNS_PER_ROUND, environ)
        finally:
            _crane(environ, "agent", "stop")


def _measure(count: int, environ: Mapping[str, str]) -> Results:
    measures: dict[str, Callable[[], float]] = {
        BARE: partial(_timed, environ, [sys.executable, "-c", SAY]),
        FOUND: partial(_timed, environ, [CRANE[0], "-c", REUSE]),
        LOADED: partial(_timed, environ, [CRANE[0], "-c", TOOL + SAY]),
        IN_TOOL: partial(_timed, environ, [CRANE[0], "-c", TOOL + REUSE]),
        RUN: partial(_timed, environ, [*CRANE, "run", "echo"]),
        COLD: partial(_cold, environ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(-1, count):  # the first round warms the disk's cache, and starts an agent
        for name in in_turn(list(measures), number):
            taken = measures[name]()
            if number >= 0:
                seconds[name].append(taken)
    return _report(seconds)


def _report(seconds: dict[str, list[float]]) -> Results:
    results = Results()
    for name, taken in seconds.items():
        note = f"{median(taken) * 1000:.0f} ms, at best {min(taken) * 1000:.0f} ms"
        what = f"agent: {name}, of a bare Python start"
        results.add(Row(what, ratios(taken, seconds[BARE]), note=note))
    # As for `start`: the best run counts, since a busy machine only ever adds.
    own = min(seconds[FOUND]) - min(seconds[BARE])
    results.add(Row("agent: found, above a bare Python start", own, "s"))
    added = min(seconds[IN_TOOL]) - min(seconds[LOADED])
    results.add(Row("agent: found, added to a tool's run", added, "s", at_most=0.03))
    medians = {name: median(taken) * 1000 for name, taken in seconds.items()}
    results.charts.append(Chart("agent", "ms", medians, plotted=False))
    return results


def _timed(environ: Mapping[str, str], command: list[str]) -> float:
    start = time.perf_counter()
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    ) as process:
        assert process.stdout is not None
        if not process.stdout.read(1):
            raise RuntimeError(f"{command} said nothing")
        return time.perf_counter() - start


def _cold(environ: Mapping[str, str]) -> float:
    _crane(environ, "agent", "stop")
    return _timed(environ, [*CRANE, "run", "echo"])


def _crane(environ: Mapping[str, str], *arguments: str) -> None:
    subprocess.run([*CRANE, *arguments], check=True, capture_output=True, env=environ)
