"""What the plugins cost where they have nothing to do, and what they save where they do."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import clients
from benchmarks.closure import closure_site
from benchmarks.environments import environment
from benchmarks.gateway import CRANE, register
from benchmarks.gateway import environment as crane_environment
from benchmarks.relay import relaying
from benchmarks.resolution import Runs, compare
from benchmarks.results import Chart, Results, Row, in_turn, ratios
from benchmarks.tools import CACHE, program, where_tools_write
from benchmarks.upstream import upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.upstream import Upstream

PACKAGES = Path(__file__).resolve().parent.parent / "packages"
POETRY = clients.POETRY
HATCH = ("hatch==1.18.2",)
CORE = ("-e", str(PACKAGES / "core"))
WITH_PLUGIN = (*POETRY, *CORE, "-e", str(PACKAGES / "poetry-plugin"))
PDM_WITH_PLUGIN = (*clients.PDM, *CORE, "-e", str(PACKAGES / "pdm-plugin"))
RUNS_PER_ROUND = 6
PROJECT = """\
[project]
name = "tiny"
version = "1.0"
description = "A project for a benchmark"
authors = [{ name = "Ann", email = "ann@example.org" }]
requires-python = ">=3.11"
"""
BARE, PLUGIN, IDLE = "without the plugin", "no index registered", "an index registered, none used"
DIRECT, COLD, WARM = "direct", "plugin, cold", "plugin, warm"
# What nobody can beat: the tool's own work, before an index on this machine that has metadata.
NEAR = "no plugin, with metadata and without the link"


def run(rounds: int) -> Results:
    """Measure in turn, so that a busy machine is busy for all."""
    versions = [program("nginx").version(), *POETRY, *clients.PDM, *HATCH]
    results = Results(versions=[*versions, where_tools_write()])
    for idle in IDLES:
        with tempfile.TemporaryDirectory() as folder:
            _cost(idle, Path(folder), rounds * RUNS_PER_ROUND, results)
    CACHE.mkdir(parents=True, exist_ok=True)
    # On the cache's own file system, so that wheels can be linked there.
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        site = closure_site(Path(folder))
        with upstream(site.folder) as index, relaying(index.ports["bare"]) as port:
            for tool in LOCKING:
                _locks(tool, index, port, rounds, results)
    return results


# --- a project that uses no registered index


@dataclass(frozen=True)
class Idle:
    """A command that asks no index, of a tool without its plugin and with it."""

    command: tuple[str, ...]
    bare: tuple[str, ...]
    plugin: str


IDLES = (
    Idle(("poetry", "check"), POETRY, "poetry-plugin"),
    Idle(("pdm", "info", "--where"), clients.PDM, "pdm-plugin"),
    Idle(("hatch", "status"), HATCH, "hatch-plugin"),
)


def _cost(tool: Idle, folder: Path, count: int, results: Results) -> None:
    (folder / "pyproject.toml").write_text(PROJECT)
    empty, registered = folder / "empty", folder / "registered"
    for home in (empty, registered):
        home.mkdir()
    register(registered, "http://127.0.0.1:9/bench")
    name = tool.command[0]
    # Both are installed in the same way.
    loaded = (*tool.bare, *CORE, "-e", str(PACKAGES / tool.plugin))
    ways = {
        BARE: (name, tool.bare, empty),
        PLUGIN: (f"{name}-crane", loaded, empty),
        IDLE: (f"{name}-crane", loaded, registered),
    }
    measures = {
        way: partial(_timed, tool.command, environment(env, *requirements), home, folder)
        for way, (env, requirements, home) in ways.items()
    }
    seconds: dict[str, list[float]] = {way: [] for way in measures}
    for number in range(-1, count):  # the first round warms the disk's cache
        for way in in_turn(list(measures), number):
            taken = measures[way]()
            if number >= 0:
                seconds[way].append(taken)
    for way in (PLUGIN, IDLE):
        # As for `start`: the best run counts, since a busy machine only ever adds.
        more = min(seconds[way]) - min(seconds[BARE])
        note = f"medians {median(seconds[way]):.3f} and {median(seconds[BARE]):.3f} s"
        what = f"plugins, {' '.join(tool.command)}, {way}: above {BARE}"
        results.add(Row(what, more, "s", at_most=0.02, note=note))


def _timed(command: tuple[str, ...], programs: Path, home: Path, folder: Path) -> float:
    kept = {name: os.environ[name] for name in clients.KEPT if name in os.environ}
    environ = {
        **kept, **crane_environment(home), "POETRY_KEYRING_ENABLED": "false",
        "PDM_CHECK_UPDATE": "false", "PDM_PYTHON": str(programs / "python"), "HOME": str(home),
    }  # fmt: skip
    start = time.perf_counter()
    subprocess.run(
        [programs / command[0], *command[1:]],
        check=True, capture_output=True, env=environ, cwd=folder,
    )  # fmt: skip
    return time.perf_counter() - start


# --- a lock of a real closure, from an index without metadata


@dataclass(frozen=True)
class Locking:
    """A tool that locks, and the environment in which it has the plugin."""

    name: str
    client: clients.Client
    environment: str
    requirements: tuple[str, ...]


LOCKING = (
    Locking("poetry", clients.poetry, "poetry-crane", WITH_PLUGIN),
    Locking("pdm", clients.pdm, "pdm-crane", PDM_WITH_PLUGIN),
)


def _locks(tool: Locking, index: Upstream, port: int, rounds: int, results: Results) -> None:
    runs = {way: Runs() for way in (DIRECT, COLD, WARM, NEAR)}

    def direct() -> None:
        runs[DIRECT].take(tool.client, f"{index.url('bare', port=port)}/simple/", index)

    def through_crane() -> None:
        url = index.url("bare", login=False, port=port)
        with _home(url) as home:
            for way in (COLD, WARM):
                runs[way].take(partial(_with_plugin, tool, home), f"{url}/simple/", index)

    def near() -> None:
        runs[NEAR].take(tool.client, f"{index.url('fresh')}/simple/", index)

    ways: Mapping[str, Callable[[], None]] = {DIRECT: direct, COLD: through_crane, NEAR: near}
    for number in range(rounds):
        for way in in_turn(list(ways), number):
            ways[way]()
    compare([resolved for one in runs.values() for resolved in one.resolved])
    bars = {}
    for way, bound in ((COLD, 0.45), (WARM, 0.25), (NEAR, None)):
        one, straight = runs[way], runs[DIRECT]
        bars[f"{tool.name} lock: {way}"] = value = ratios(one.seconds, straight.seconds)
        note = (
            f"{median(one.seconds):.2f} against {median(straight.seconds):.2f} s, of them "
            f"its own work {one.own_work:.2f} and {straight.own_work:.2f} s"
        )
        what = f"plugins, {tool.name} lock, no metadata: {way}, of direct"
        results.add(Row(what, value, at_most=bound, note=note))
    results.charts.append(
        Chart(f"{tool.name} lock with the plugin, time of going direct", "×", bars)
    )


def _with_plugin(tool: Locking, home: Path, index_url: str, folder: Path) -> clients.Step:
    """Lock as the client does, in an environment that has the plugin."""
    step = tool.client(index_url, folder)
    programs = environment(tool.environment, *tool.requirements)
    command = [str(programs / tool.name), *step.command[1:]]
    return replace(step, command=command, environ={**step.environ, **_agents(home)})


@contextmanager
def _home(index_url: str) -> Iterator[Path]:
    """Give a crane without history; its agent is ended with the block."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        register(home, index_url)
        try:
            yield home
        finally:
            stop = [*CRANE, "agent", "stop"]
            environ = {**os.environ, **_agents(home)}
            subprocess.run(stop, check=True, capture_output=True, env=environ)


def _agents(home: Path) -> dict[str, str]:
    return {k: v for k, v in crane_environment(home).items() if k != "HOME"}
