"""Index pages: requests a second, processor time and latency, against nginx and Python peers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import peers
from benchmarks.load import Load, LoadFailed, load
from benchmarks.results import Chart, Results, Row, in_turn, ratios
from benchmarks.servers import Server, answers
from benchmarks.site import Site, older_versions
from benchmarks.tools import program
from benchmarks.upstream import Upstream, upstream

CONCURRENCY = (1, 16, 50)
SECONDS = 2.0
SMALL, LARGE = 10, 300  # files on a page; 300 make 100 KB
MANY = tuple(f"project-{number}" for number in range(200))
# Requests to the index for each answer: a peer that caches has few, one that asks has one or more.
CACHES, ASKS = 0.1, 0.9


@dataclass(frozen=True)
class Scenario:
    """Which pages are asked for, what the index allows to keep, and what crane must reach."""

    name: str
    variant: str
    projects: Sequence[str]
    of_nginx: float | None
    of_peers: float


SCENARIOS = (
    Scenario("cached small page", "fresh", ("small",), 0.7, 10),
    Scenario("cached 100 KB page", "fresh", ("large",), 0.7, 10),
    Scenario("uncached small page", "ask", MANY, None, 2),
)


@dataclass
class Runs:
    """What each server gave, round after round."""

    loads: dict[str, list[Load]] = field(default_factory=dict)
    asked: dict[str, list[float]] = field(default_factory=dict)

    def values(self, name: str, attribute: str) -> list[float]:
        """Return one value of each round."""
        return [getattr(one, attribute) for one in self.loads[name]]


def run(rounds: int) -> Results:
    """Measure every scenario."""
    results = Results(versions=[program("nginx").version(), *peers.VERSIONS])
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        for project in ("small", *MANY):
            site.add(project, older_versions(project, SMALL))
        site.add("large", older_versions("large", LARGE))
        site.finish()
        with upstream(site.folder) as index:
            for scenario in SCENARIOS:
                _measure(scenario, index, rounds, results)
    return results


def _measure(scenario: Scenario, index: Upstream, rounds: int, results: Results) -> None:
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        for name, peer in peers.ALL.items():
            servers[name] = stack.enter_context(peer(index, scenario.variant))
        for name in list(servers):
            # Nobody's first requests count.
            answers(f"{servers[name].index_url}{scenario.projects[0]}/")
            if _load(servers, name, scenario, 4) is None:
                del servers[name]
        for concurrency in CONCURRENCY:
            runs = _rounds(servers, scenario, index, concurrency, rounds)
            _report(scenario, concurrency, runs, results)


def _rounds(
    servers: dict[str, Server],
    scenario: Scenario,
    index: Upstream,
    concurrency: int,
    rounds: int,
) -> Runs:
    runs = Runs({name: [] for name in servers}, {name: [] for name in servers})
    for number in range(rounds):
        for name in in_turn(list(servers), number):
            before = index.requests()
            one = _load(servers, name, scenario, concurrency)
            if one is None:
                del servers[name], runs.loads[name], runs.asked[name]
                continue
            runs.loads[name].append(one)
            asked = index.requests() - before - 1  # asking for the number counts as well
            runs.asked[name].append(asked / one.requests)
    return runs


def _load(
    servers: Mapping[str, Server], name: str, scenario: Scenario, concurrency: int
) -> Load | None:
    """Return what a server gives; None for a peer that fails, and will be left out."""
    try:
        return load(servers[name], scenario.projects, concurrency, SECONDS)
    except LoadFailed as error:
        if name == "crane":
            raise
        print(f"       {error}: left out from here on", flush=True)
        return None


def _report(scenario: Scenario, concurrency: int, runs: Runs, results: Results) -> None:
    where = f"{scenario.name}, {concurrency} at once"
    asking = {name: median(values) for name, values in runs.asked.items()}
    if "nginx" in runs.loads and scenario.of_nginx:
        _compare(f"{where}: crane of nginx", "nginx", runs, scenario.of_nginx, results)
    rivals = [n for n in peers.PYTHON_PEERS if n in asking and _is_rival(scenario, asking[n])]
    if rivals:
        best = max(rivals, key=lambda name: median(runs.values(name, "per_second")))
        _compare(f"{where}: crane of {best}", best, runs, scenario.of_peers, results)
    for name in ("crane", "crane-pip's way"):
        if name in runs.loads:
            bounded = _is_bounded(scenario, name, concurrency)
            _latency(f"{where}: {name}", name, runs, results, bounded=bounded)
    shown = {name: median(runs.values(name, "per_second")) for name in runs.loads}
    plotted = concurrency == max(CONCURRENCY)
    results.charts.append(Chart(where, "requests/s", shown, plotted))
    line = ", ".join(f"{name} {value:,.0f}" for name, value in shown.items())
    asked = ", ".join(f"{name} {value:.2f}" for name, value in asking.items())
    print(f"       {where}: {line}\n       asked upstream per answer: {asked}", flush=True)


def _is_rival(scenario: Scenario, asked: float) -> bool:
    """Whether a peer does the same work: answers from its cache, or really asks the index."""
    return asked >= ASKS if scenario.variant == "ask" else asked <= CACHES


def _is_bounded(scenario: Scenario, name: str, concurrency: int) -> bool:
    return scenario.variant == "ask" and name == "crane" and concurrency == 50


def _compare(what: str, other: str, runs: Runs, bound: float, results: Results) -> None:
    ours, theirs = runs.values("crane", "per_second"), runs.values(other, "per_second")
    note = f"{median(ours):,.0f} against {median(theirs):,.0f} requests/s"
    results.add(Row(what, ratios(ours, theirs), at_least=bound, note=note))
    # The same in processor time, which holds on a busy machine too: theirs by ours.
    ours, theirs = runs.values("crane", "cpu"), runs.values(other, "cpu")
    note = f"{median(ours) * 1e6:,.0f} against {median(theirs) * 1e6:,.0f} µs of processor"
    results.add(Row(f"{what}, by processor time", ratios(theirs, ours), at_least=bound, note=note))


def _latency(what: str, name: str, runs: Runs, results: Results, *, bounded: bool) -> None:
    p50, p99 = runs.values(name, "p50"), runs.values(name, "p99")
    note = f"{median(p99) * 1e3:.1f} against {median(p50) * 1e3:.1f} ms"
    bound = 5.0 if bounded else None
    results.add(Row(f"{what}, p99 of p50", ratios(p99, p50), at_most=bound, note=note))
