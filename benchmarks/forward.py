"""Installing 50 MB through the forward route, as a ratio to going direct; all of it over TLS."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from benchmarks.certificates import HOST, Certificates
from benchmarks.clients import UV
from benchmarks.closure import PIP
from benchmarks.environments import environment
from benchmarks.gateway import CRANE, register
from benchmarks.gateway import environment as crane_environment
from benchmarks.nginx import nginx
from benchmarks.relay import relaying
from benchmarks.results import Chart, Results, Row, in_turn, ratios
from benchmarks.servers import free_port
from benchmarks.site import Distribution, Site
from benchmarks.tools import CACHE, program
from benchmarks.upstream import MAPS, PASSWORD, STATUS, USER, VARIANTS
from crane_devserver.wheels import make_wheel, wheel_metadata

MEGABYTE = 1_000_000
# One big wheel and many smaller ones, as the set of an application is.
SIZES = (20, 8, 5, 4, 3, 2, 2, 1, 1, 1, 1, 1, 1)
DIRECT = "direct"
FIRST, AGAIN, COMMAND = "the first time", "again", "again, crane itself included"
LINKS = {"loopback": False, "30 ms, 200 Mbit/s": True}
BOUNDS = {"uv pip install": 1.05, "pip download": 1.15}


@dataclass(frozen=True)
class Index:
    """The index, as it is reached without a login, and with one; and whom to trust there."""

    port: int
    certificates: Certificates

    def url(self, *, login: bool, port: int | None = None) -> str:
        """Return the repository's URL; `port` is that of a relay."""
        user = f"{USER}:{PASSWORD}@" if login else ""
        return f"https://{user}{HOST}:{port or self.port}/repo"


def fill(site: Site) -> list[str]:
    """Write the set, and return its projects."""
    assert sum(SIZES) == 50
    for number, size in enumerate(SIZES):
        name = f"part-{number}"
        wheel = make_wheel(site.folder / "files", name, "1.0", size=size * MEGABYTE)
        metadata = wheel_metadata(wheel)
        site.file(f"{wheel.name}.metadata").write_bytes(metadata)
        content, made = wheel.read_bytes(), hashlib.sha256(metadata).hexdigest()
        digest = hashlib.sha256(content).hexdigest()
        site.add(name, [Distribution(wheel.name, "1.0", digest, len(content), ">=3.8", made)])
    site.finish()
    return list(site.projects)


@contextmanager
def serving(site: Site, folder: Path) -> Iterator[Index]:
    """Serve it as the other benchmarks' index does, but over TLS, and so with HTTP/2, too."""
    certificates = Certificates.made_in(folder)
    port, status_port = free_port(), free_port()
    block = VARIANTS["tls"].server(port, site.folder)
    http = "\n".join([MAPS, certificates.directives(), block, STATUS.format(port=status_port)])
    with nginx("forward", http, f"http://127.0.0.1:{status_port}/"):
        yield Index(port, certificates)


class Machine:
    """A crane that has nothing yet but its running agent, and what a child of it gets."""

    def __init__(self, home: Path, index: Index, index_url: str) -> None:
        own = {**index.certificates.environ(), "PATH": os.environ["PATH"], "CI": "1"}
        self.environ = {**own, **crane_environment(home)}
        register(home, index_url)
        lines = self._crane("env", "--shell", "dotenv").splitlines()
        pairs = (line.partition("=")[::2] for line in lines)
        self.child = {**self.environ, **{name: value.strip("'\"") for name, value in pairs}}
        (status,) = json.loads(self._crane("agent", "status", "--json"))["data"]["agents"]
        self.agent = psutil.Process(status["pid"])

    def stop(self) -> None:
        """End its agent."""
        self._crane("agent", "stop")

    def _crane(self, *arguments: str) -> str:
        done = subprocess.run(
            [*CRANE, *arguments], check=False, capture_output=True, text=True, env=self.environ
        )
        if done.returncode:
            raise RuntimeError(f"crane {arguments}: {done.stderr}")
        return done.stdout


def uv_install(index_url: str, folder: Path, projects: Sequence[str]) -> list[str]:
    """Return the command that installs the set with uv."""
    programs = environment("uv", *UV)
    return [
        str(programs / "uv"), "pip", "install", "--quiet", "--no-config",
        "--python", str(programs / "python"), "--target", str(folder / "target"),
        "--default-index", f"{index_url}/simple/", "--cache-dir", str(folder / "cache"), *projects,
    ]  # fmt: skip


def pip_download(index_url: str, folder: Path, projects: Sequence[str]) -> list[str]:
    """Return the command that downloads the set with pip."""
    return [
        str(environment("pip", *PIP) / "python"), "-m", "pip", "download", "--quiet",
        "--disable-pip-version-check", "--progress-bar", "off", "--no-cache-dir",
        "--index-url", f"{index_url}/simple/", "--dest", str(folder / "target"), *projects,
    ]  # fmt: skip


TOOLS = {"uv pip install": uv_install, "pip download": pip_download}


@dataclass
class Runs:
    """What one way took, round after round; `agents` is the agents' own processor time."""

    seconds: list[float] = field(default_factory=list)
    agents: list[float] = field(default_factory=list)

    def take(
        self,
        tool: str,
        url: str,
        projects: Sequence[str],
        environ: Mapping[str, str],
        before: Sequence[str] = (),
        agent: psutil.Process | None = None,
    ) -> None:
        """Run a tool with nothing of its own kept from earlier; what it gets must be all."""
        with tempfile.TemporaryDirectory(dir=CACHE) as name:
            folder = Path(name)
            command = [*before, *TOOLS[tool](url, folder, projects)]
            used, start = _used(agent), time.perf_counter()
            done = subprocess.run(
                command, check=False, env={"HOME": name, **environ}, capture_output=True, text=True
            )
            seconds = time.perf_counter() - start
            found = sum(f.stat().st_size for f in (folder / "target").rglob("*") if f.is_file())
        if done.returncode or found < sum(SIZES) * MEGABYTE:
            raise RuntimeError(f"{command} came to {found} bytes: {done.stderr[-2000:]}")
        self.seconds.append(seconds)
        self.agents.append(_used(agent) - used)


def _used(agent: psutil.Process | None) -> float:
    """Return the processor time of an agent so far."""
    if agent is None:
        return 0.0
    times = agent.cpu_times()
    return float(times.user + times.system)


def run(rounds: int) -> Results:
    """Measure both tools at both links, in turn."""
    results = Results(versions=[program("nginx").version(), *PIP, *UV])
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        folder = Path(name)
        site = Site(folder / "site")
        projects = fill(site)
        with serving(site, folder) as index:
            for link, is_slow in LINKS.items():
                for tool in TOOLS:
                    if is_slow:
                        with relaying(index.port) as port:
                            runs = _measure(tool, index, port, projects, rounds)
                    else:
                        runs = _measure(tool, index, index.port, projects, rounds)
                    _report(tool, link, runs, results)
    return results


def _measure(
    tool: str, index: Index, port: int, projects: Sequence[str], rounds: int
) -> dict[str, Runs]:
    runs = {way: Runs() for way in (DIRECT, FIRST, AGAIN, COMMAND)}

    def direct() -> None:
        trusted = dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT"), str(index.certificates.authority))
        environ = {"PATH": os.environ["PATH"], **trusted}
        runs[DIRECT].take(tool, index.url(login=True, port=port), projects, environ)

    def through_crane() -> None:
        url = index.url(login=False, port=port)
        with tempfile.TemporaryDirectory(dir=CACHE) as home:
            machine = Machine(Path(home), index, url)
            try:
                for way in (FIRST, AGAIN):
                    runs[way].take(tool, url, projects, machine.child, agent=machine.agent)
                before = (*CRANE, "run", "--")
                runs[COMMAND].take(
                    tool, url, projects, machine.environ, before, agent=machine.agent
                )
            finally:
                machine.stop()

    ways: Mapping[str, Callable[[], None]] = {DIRECT: direct, FIRST: through_crane}
    for number in range(rounds):
        for way in in_turn(list(ways), number):
            ways[way]()
    return runs


def _report(tool: str, link: str, runs: Mapping[str, Runs], results: Results) -> None:
    straight, bars = runs[DIRECT], {DIRECT: median(runs[DIRECT].seconds)}
    for way, one in runs.items():
        if way == DIRECT:
            continue
        bars[f"crane, {way}"] = median(one.seconds)
        bound = None if way == COMMAND else BOUNDS[tool]
        note = (
            f"{median(one.seconds):.2f} against {median(straight.seconds):.2f} s, the agent's own "
            f"processor time {median(one.agents):.2f} s"
        )
        what = f"50 MB, {tool}, {link}: {way}, of direct"
        results.add(Row(what, ratios(one.seconds, straight.seconds), at_most=bound, note=note))
    results.charts.append(Chart(f"{tool} of 50 MB, {link}", "s", bars, plotted=False))
