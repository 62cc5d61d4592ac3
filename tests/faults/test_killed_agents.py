"""Many tools at once while their agent is killed again and again.

`python3 dev.py soak --minutes 10` goes on for long with 200 clients, or as many as SOAK_CLIENTS
says; it kills the agent every 20 s, and shows counts.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
import subprocess
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uv
from auth.stored import assert_none_used_twice, refreshes
from forward.rig import Site
from idp.oidc import Realm
from run.kit import Machine
from support.pips import NEWEST, RUNNING, Environments, Pip, log_in, register
from support.processes import kill
from support.world import CRANE, User

RUNS = 40
LONG = float(os.environ.get("SOAK_SECONDS", "0"))  # in place of a number of runs
AT_ONCE = int(os.environ.get("SOAK_CLIENTS", "8"))
RUNS_PER_KILL = 10
SECONDS_PER_KILL = 20.0  # in the long run
PATIENCE = 600.0 if LONG else 120.0  # seconds for one client; a busy machine has many
SIZES = (1_000, 300_000, 3_000_000)
# What a tool says, in its own words, of a proxy that is gone; or crane, of an agent.
REASONS = (
    "proxy", "tunnel", "connect", "connection", "recv failure", "empty reply", "agent", "transfer",
    "eof", "reset", "ssl",
)  # fmt: skip


@dataclass
class Soak:
    """Runs tools and notes how each ended."""

    machine: Machine
    python: Path
    folder: Path
    wheels: dict[str, str]
    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    finished: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    began: float = field(default_factory=time.monotonic)

    def run(self, number: int) -> None:
        """Fetch one file with one tool, and look at what came."""
        name, digest = list(self.wheels.items())[number % len(self.wheels)]
        project = self.project(name)
        into = self.folder / str(number)
        into.mkdir()
        commands = self.commands(name, project, into)
        tool, command = commands[number // len(self.wheels) % len(commands)]
        done = subprocess.run(
            command, env=self.machine.user.environ, cwd=into, text=True, timeout=PATIENCE,
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        came = [hashlib.sha256(path.read_bytes()).hexdigest() for path in into.glob("*.whl")]
        said = f"{done.stdout}{done.stderr}"
        if done.returncode == 0:
            self.done[f"{tool}: good"] += 1
            right = {"uv": [], "token": []}.get(tool, [digest])
            if came != right or (tool == "uv" and not self.has_installed(into, digest)):
                self.wrong.append(f"{tool} {name} {came} {said}")
        else:
            self.done[f"{tool}: an error"] += 1
            if "Traceback" in said or not any(word in said.lower() for word in REASONS):
                self.failures.append(f"{tool} {name} {done.returncode}\n{said}")
        shutil.rmtree(into)
        self.finished.release()

    def has_installed(self, into: Path, digest: str) -> bool:
        """Whether uv has unpacked what is in the wheel with that digest."""
        wheel = next(n for n, d in self.wheels.items() if d == digest)
        with zipfile.ZipFile(self.machine.site.private / self.project(wheel) / wheel) as archive:
            return all(
                (into / "target" / name).read_bytes() == archive.read(name)
                for name in archive.namelist()
                if ".dist-info/" not in name
            )

    @staticmethod
    def project(wheel: str) -> str:
        return wheel.partition("-")[0].replace("_", "-")

    def run_until(self, end: float) -> None:
        """Be one client after the other."""
        while time.monotonic() < end:
            self.run(next(self.numbers))

    @property
    def errors(self) -> int:
        """How many clients ended with a clear error."""
        return sum(count for what, count in self.done.items() if "error" in what)

    def report(self, killed: int) -> str:
        """Return the counts."""
        runs, took = sum(self.done.values()), time.monotonic() - self.began
        kinds = ", ".join(f"{what} {count}" for what, count in sorted(self.done.items()))
        return (
            f"\n{runs} runs by {AT_ONCE} clients in {took:.0f} s, {killed} agents killed: {kinds}; "
            f"unclear errors {len(self.failures)}, wrong bytes {len(self.wrong)}"
        )

    def commands(self, name: str, project: str, into: Path) -> list[tuple[str, list[str]]]:
        url = f"{self.machine.site.index_url}"
        curl = ["curl", "--silent", "--show-error", "--fail", "-O", f"{url}/{project}/{name}"]
        by_uv = ["pip", "install", "--quiet", "--target", str(into / "target"), "--index-url", url]
        pip = ["--python", str(self.python), "download", "--quiet", "--no-cache-dir", "--no-deps"]
        return [
            ("curl", [CRANE, "run", "--", *curl]),
            ("uv", [CRANE, "uv", *by_uv, "--no-cache", "--no-config", project]),
            ("pip", [CRANE, "pip", *pip, "--retries", "1", project]),
            ("token", [CRANE, "token"]),
        ]


@pytest.fixture
def soak(
    site: Site, user: User, realm: Realm, tmp_path: Path, environments: Environments
) -> Iterator[Soak]:
    user.variables = {
        "HTTPS_PROXY": site.net.url(), "SSL_CERT_FILE": site.net.ca_file, "PIP_CERT": "",
        "PIP_CONFIG_FILE": "/dev/null", "CI": "1", "UV_PYTHON": RUNNING, "UV_HTTP_RETRIES": "1",
        "PATH": f"{Path(uv.find_uv_bin()).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    index = site.index()
    register(user, index)
    log_in(user, realm, index)
    python = environments.make(tmp_path / "env", Pip(RUNNING, NEWEST))
    wheels = {}
    for size in SIZES:
        wheel = site.add_private(f"firm-{size}", size=size)
        wheels[wheel.name] = hashlib.sha256(wheel.read_bytes()).hexdigest()
    folder = tmp_path / "came"
    folder.mkdir()
    machine = Machine(user, site)
    yield Soak(machine, python, folder, wheels)
    machine.end_all()


def killing(soak: Soak, stop: threading.Event, chance: random.Random) -> int:
    """Kill the agents again and again, at once or while the next clients begin."""
    killed = 0
    while not stop.is_set():
        if LONG:
            stop.wait(SECONDS_PER_KILL)
        else:
            for _ in range(RUNS_PER_KILL):
                soak.finished.acquire()
        if chance.random() < 0.5:
            soak.machine.user.crane("cache", "purge")
        for agent in soak.machine.agents():
            kill(agent.pid)
            killed += 1
    return killed


def test_each_tool_ends_well_or_with_a_reason_and_no_login_is_lost(
    soak: Soak, realm: Realm
) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(AT_ONCE + 1) as threads:
        killer = threads.submit(killing, soak, stop, random.Random(9))
        if LONG:
            end = time.monotonic() + LONG
            running = [threads.submit(soak.run_until, end) for _ in range(AT_ONCE)]
        else:
            running = [threads.submit(soak.run, next(soak.numbers)) for _ in range(RUNS)]
        try:
            for one in running:
                one.result()
        finally:
            stop.set()
            soak.finished.release(RUNS_PER_KILL)
        killed = killer.result()

    print(soak.report(killed))
    assert soak.wrong == []
    assert not soak.failures, "\n".join(soak.failures)
    assert killed >= 3
    runs = sum(soak.done.values())
    assert sum(count for what, count in soak.done.items() if "good" in what) > runs / 3
    assert soak.done["token: good"] == sum(n for w, n in soak.done.items() if "token" in w)
    # Afterwards all is as before: nobody has to log in, and nothing had to be renewed.
    soak.machine.end_all()
    errors = soak.errors
    for _ in range(9):
        soak.run(next(soak.numbers))
    assert soak.wrong == []
    assert soak.errors == errors
    assert LONG or refreshes(realm) == []
    assert_none_used_twice(realm)
