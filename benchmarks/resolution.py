"""Resolving a real closure over a slow link: through crane, as a ratio to going direct."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from benchmarks import clients, peers
from benchmarks.clients import CLIENTS, Client, Timing, timed
from benchmarks.closure import closure_site
from benchmarks.gateway import crane
from benchmarks.ideal import answers_of, ideal
from benchmarks.limit import Project, projects_of, times_of
from benchmarks.relay import relaying
from benchmarks.results import Chart, Results, Row, in_turn, ratios
from benchmarks.tools import CACHE, in_memory, program, where_tools_write
from benchmarks.upstream import VARIANTS, Upstream, upstream

MOST_REQUESTS = 1.1  # each one in vain is an audit event at a Crane server
LEAST = 100  # projects that every resolution must come to
DIRECT, COLD, WARM, THREADS = "direct", "crane cold", "crane warm", "crane-pip's way"
# What nobody can beat: warm, the tool's own work; cold, the round trips of the questions.
NEAR, CHAIN = "direct without the link", "the chain of questions alone"
IDEAL = "an ideal proxy, which has each answer when the chain has it"


@dataclass(frozen=True)
class Case:
    """A tool before an index with metadata files (PEP 658) or none; what crane must reach."""

    client: str
    form: str
    variant: str
    cold: float | None
    warm: float | None


CASES = (
    Case("pip", "PEP 658", "fresh", 0.40, 0.27),
    Case("pip", "no metadata", "bare", 0.28, 0.17),
    Case("uv", "PEP 658", "fresh", 0.58, 0.33),
    Case("uv", "no metadata", "bare", 0.41, 0.14),
    Case("Poetry", "PEP 658", "fresh", 0.48, 0.37),
    Case("Poetry", "no metadata", "bare", 0.40, 0.25),
    # As a Crane server is: nothing set for it, but good to know.
    Case("uv", "no metadata, no ranges", "plain", None, None),
    # As most indexes are reached, and as large as PyPI's pages are: the same.
    Case("uv", "PEP 658, TLS", "tls", None, None),
    Case("uv", "PEP 658, TLS, large pages, packed", "large", None, None),
)


def run(rounds: int) -> Results:
    """Time every tool, direct and through crane, in turn."""
    versions = [program("nginx").version(), *clients.VERSIONS, where_tools_write()]
    results = Results(versions=versions)
    with tempfile.TemporaryDirectory(dir=_beside_the_cache()) as folder:
        site = closure_site(Path(folder))
        size = sum(file.stat().st_size for file in (site.folder / "files").glob("*.whl")) / 1e6
        print(f"       {len(site.projects)} projects, {size:.0f} MB of wheels", flush=True)
        with upstream(site.folder) as index:
            bars: dict[str, float] = {}
            closure = Closure.of(site.folder)
            for case in CASES:
                with relaying(index.ports[case.variant]) as port:
                    bars |= _measure(case, index, port, rounds, results, closure)
    results.charts.append(Chart("resolution of a closure, time of going direct", "×", bars))
    return results


def _beside_the_cache() -> Path:
    """Return a folder on the cache's own file system, so that wheels can be linked there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    return CACHE


@dataclass(frozen=True)
class Closure:
    """What is asked for, and the answers."""

    projects: Mapping[str, Project]
    answers: Mapping[str, bytes]

    @classmethod
    def of(cls, site: Path) -> Closure:
        """Read it from the folder that the index serves."""
        projects = projects_of(site)
        return cls(projects, answers_of(site, projects))


@dataclass
class Runs:
    """What one way took, round after round, and what it came to."""

    timings: list[Timing] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    resolved: list[set[str]] = field(default_factory=list)

    def take(self, client: Client, index_url: str, index: Upstream) -> None:
        """Resolve once, with nothing kept from before."""
        with tempfile.TemporaryDirectory(dir=in_memory()) as name:
            step = client(index_url, Path(name))
            step = replace(step, environ={**step.environ, **index.certificates.environ()})
            before = index.requests() + 1  # asking for the number counts as well
            self.timings.append(timed(step, Path(name)))
            self.requests.append(index.requests() - before)
            self.resolved.append(step.resolved())

    @property
    def seconds(self) -> list[float]:
        """How long each run took."""
        return [timing.wall for timing in self.timings]

    @property
    def own_work(self) -> float:
        """How much of it, in the median, the tool computed."""
        return median(timing.processor for timing in self.timings)


def _measure(
    case: Case,
    index: Upstream,
    port: int,
    rounds: int,
    results: Results,
    closure: Closure,
) -> dict[str, float]:
    client = CLIENTS[case.client]
    runs = {way: Runs() for way in (DIRECT, COLD, WARM, THREADS, NEAR, IDEAL)}
    chains: list[float] = []

    def direct() -> None:
        runs[DIRECT].take(client, f"{index.url(case.variant, port=port)}/simple/", index)

    def through_crane() -> None:
        url = index.url(case.variant, login=False, port=port)
        with crane(url, environ=index.certificates.environ()) as server:
            for state in (COLD, WARM):
                runs[state].take(client, server.index_url, index)

    def through_threads() -> None:
        with peers.threads(index, case.variant, port) as server:
            runs[THREADS].take(client, server.index_url, index)

    def near() -> None:
        runs[NEAR].take(client, f"{index.url(case.variant)}/simple/", index)

    def questions() -> None:
        chains.append(_ask_alone(case, index, port, closure, runs[IDEAL]))

    ways: dict[str, Callable[[], None]] = {
        DIRECT: direct, COLD: through_crane, THREADS: through_threads, NEAR: near, CHAIN: questions
    }  # fmt: skip
    for way in _left_out(case):
        del ways[way]
    for number in range(rounds):
        for way in in_turn(list(ways), number):
            ways[way]()
    compare([resolved for one in runs.values() for resolved in one.resolved])
    _add_chain(case, chains, runs[DIRECT].seconds, results)
    return _report(case, runs, results)


def _left_out(case: Case) -> tuple[str, ...]:
    if VARIANTS[case.variant].tls:
        return THREADS, CHAIN  # which do not speak it
    return (CHAIN,) if case.variant == "plain" else ()  # of which nobody gets a part of a wheel


def _ask_alone(
    case: Case, index: Upstream, port: int, closure: Closure, before_ideal: Runs
) -> float:
    """Return how long the chain takes, and have uv resolve before a proxy as fast as that."""
    url = f"{index.url(case.variant, port=port)}/simple/"
    at = times_of(url, closure.projects, has_metadata=case.form == "PEP 658")
    if case.client == "uv":
        with ideal(closure.answers, at) as ideal_url:
            before_ideal.take(CLIENTS[case.client], ideal_url, index)
    return max(at.values())


def _add_chain(case: Case, chains: list[float], direct: list[float], results: Results) -> None:
    if not chains:
        return
    note = f"{median(chains):.2f} against {median(direct):.2f} s"
    what = f"resolution, {case.client}, {case.form}: {CHAIN}, of direct"
    results.add(Row(what, ratios(chains, direct), note=note))


def compare(sets: list[set[str]]) -> None:
    """Refuse times of runs that did not do the same."""
    if len(sets[0]) < LEAST or any(one != sets[0] for one in sets):
        differing = [sorted(one ^ sets[0])[:5] for one in sets]
        raise RuntimeError(f"not the same resolution each time: {differing}")


def _report(case: Case, runs: Mapping[str, Runs], results: Results) -> dict[str, float]:
    bounds = {COLD: case.cold, WARM: case.warm, THREADS: None, NEAR: None, IDEAL: None}
    straight, shown = runs[DIRECT], {}
    for way, bound in bounds.items():
        if not runs[way].timings:
            continue
        one, name = runs[way], f"{case.client}, {case.form}: {way}"
        shown[name] = ratios(one.seconds, straight.seconds)
        note = (
            f"{median(one.seconds):.2f} against {median(straight.seconds):.2f} s, of them the "
            f"tool's own work {one.own_work:.2f} and {straight.own_work:.2f} s"
        )
        if way != IDEAL:  # for which the chain has asked
            counts = f"{median(one.requests):.0f} and {median(straight.requests):.0f}"
            note += f"; requests to the index {counts}"
        results.add(Row(f"resolution, {name} of direct", shown[name], at_most=bound, note=note))
    if case.form.startswith("PEP 658"):
        # Elsewhere the tool alone makes more requests, for the wheels' metadata.
        more = ratios(runs[COLD].requests, straight.requests)
        what = (
            f"resolution, {case.client}, {case.form}: requests to the index, crane cold of direct"
        )
        results.add(Row(what, more, at_most=MOST_REQUESTS, note="what was fetched in vain"))
    return shown
