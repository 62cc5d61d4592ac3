"""Many tools at once while their agent is killed again and again.

`SOAK_RUNS=2000 pytest -s tests/faults/test_killed_agents.py` goes on for long, and shows counts.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uv
from auth.stored import refreshes
from forward.rig import Site
from idp.oidc import Realm
from run.kit import Machine, kill
from support.pips import NEWEST, RUNNING, Environments, Pip, log_in, register
from support.world import CRANE, User

RUNS = int(os.environ.get("SOAK_RUNS", "40"))
AT_ONCE = 8
RUNS_PER_KILL = 10
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

    def run(self, number: int) -> None:
        """Fetch one file with one tool, and look at what came."""
        name, digest = list(self.wheels.items())[number % len(self.wheels)]
        project = name.partition("-")[0].replace("_", "-")
        into = self.folder / str(number)
        into.mkdir()
        tool, command = self.commands(name, project, into)[number // 3 % 3]
        done = subprocess.run(
            command, env=self.machine.user.environ, cwd=into, text=True, timeout=120,
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        came = [hashlib.sha256(path.read_bytes()).hexdigest() for path in into.glob("*.whl")]
        said = f"{done.stdout}{done.stderr}"
        if done.returncode == 0:
            self.done[f"{tool}: good"] += 1
            if tool != "uv" and came != [digest]:
                self.wrong.append(f"{tool} {name} {came} {said}")
        else:
            self.done[f"{tool}: an error"] += 1
            if "Traceback" in said or not any(word in said.lower() for word in REASONS):
                self.failures.append(f"{tool} {name} {done.returncode}\n{said}")
        self.finished.release()

    def commands(self, name: str, project: str, into: Path) -> list[tuple[str, list[str]]]:
        url = f"{self.machine.site.index_url}"
        curl = ["curl", "--silent", "--show-error", "--fail", "-O", f"{url}/{project}/{name}"]
        by_uv = ["pip", "install", "--quiet", "--target", str(into / "target"), "--index-url", url]
        pip = ["--python", str(self.python), "download", "--quiet", "--no-cache-dir", "--no-deps"]
        return [
            ("curl", [CRANE, "run", "--", *curl]),
            ("uv", [CRANE, "uv", *by_uv, "--no-cache", "--no-config", project]),
            ("pip", [CRANE, "pip", *pip, "--retries", "1", project]),
        ]


@pytest.fixture
def soak(
    site: Site, user: User, realm: Realm, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Soak]:
    user.variables = {
        "HTTPS_PROXY": site.net.url(), "SSL_CERT_FILE": site.net.ca_file, "PIP_CERT": "",
        "PIP_CONFIG_FILE": "/dev/null", "CI": "1", "UV_PYTHON": RUNNING, "UV_HTTP_RETRIES": "1",
        "PATH": f"{Path(uv.find_uv_bin()).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    index = site.index()
    register(user, index)
    log_in(user, realm, index)
    base = tmp_path_factory.getbasetemp()
    templates = (base.parent if "popen-gw" in base.name else base) / "pips"
    templates.mkdir(exist_ok=True)
    python = Environments(templates).make(tmp_path / "env", Pip(RUNNING, NEWEST))
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
    """Kill the agents after every few runs, at once or while the next ones begin."""
    killed = 0
    while not stop.is_set():
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
        running = [threads.submit(soak.run, number) for number in range(RUNS)]
        try:
            for one in running:
                one.result()
        finally:
            stop.set()
            soak.finished.release(RUNS_PER_KILL)
        killed = killer.result()

    print(f"\n{RUNS} runs, {killed} agents killed: {dict(sorted(soak.done.items()))}")
    assert soak.wrong == []
    assert not soak.failures, "\n".join(soak.failures)
    assert killed >= 3
    assert sum(count for what, count in soak.done.items() if "good" in what) > RUNS / 3
    # Afterwards all is as before: nobody has to log in, and nothing had to be renewed.
    soak.machine.end_all()
    for number in range(RUNS, RUNS + 9):
        soak.run(number)
    assert soak.wrong == []
    assert sum(count for what, count in soak.done.items() if "error" in what) <= RUNS / 2
    assert refreshes(realm) == []
