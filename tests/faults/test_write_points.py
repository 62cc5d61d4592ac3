"""Each write of each command, ended by kill -9 or failing: the old state or the new one, whole.

A process is made to fail at its n-th write, for every n (shim/sitecustomize.py); then the same
command runs once more, undisturbed, and ends well. `FAULTS=all pytest
tests/faults/test_write_points.py` has every fault at every write, and takes some minutes; without
it the faults take turns, at every second or fourth write.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from auth.stored import expire, refreshes
from forward.rig import Site
from idp.oidc import Realm
from run.kit import Machine
from support.pips import log_in, register
from support.world import User

from crane_core.config.model import Index
from crane_core.config.store import ConfigStore
from crane_core.index.provenance import has_served

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")

SHIM = str(Path(__file__).with_name("shim"))
FAULTS = ("KILL", "ENOSPC", "EACCES", "EMFILE")
# By the reference of exit codes. What can do without the write ends well.
CODES = {"KILL": {-9}, "ENOSPC": {0, 9}, "EACCES": {0, 8}, "EMFILE": {0, 8}}
ALL = os.environ.get("FAULTS") == "all"
COMMAND, AGENT = "bin/crane", "crane_core.agent"
SECOND = "https://second.firm.test/simple"
COMMENT = "# mine, to be kept\n"


@dataclass
class Bench:
    """A user whose home is put back to what it was before each fault."""

    machine: Machine
    realm: Realm
    template: Path
    index: Index
    log: Path
    turn: Iterator[str] = field(default_factory=lambda: itertools.cycle(FAULTS))
    done: dict[str, int] = field(default_factory=dict)

    @property
    def user(self) -> User:
        return self.machine.user

    def reset(self) -> None:
        """Put the home back."""
        self.machine.end_all()
        shutil.rmtree(self.user.home)
        shutil.copytree(self.template, self.user.home)

    def run(
        self, where: str, at: int, fault: str, command: tuple[str, ...]
    ) -> subprocess.CompletedProcess[str]:
        """Run crane, of which one process fails at a write."""
        self.log.unlink(missing_ok=True)
        return self.user.crane(
            *command, PYTHONPATH=SHIM, FAULT_ROOT=str(self.user.home), FAULT_IN=where,
            FAULT_AT=str(at), FAULT=fault, FAULT_LOG=str(self.log),
        )  # fmt: skip

    def writes(self) -> list[str]:
        """Return the writes of the last run."""
        return self.log.read_text().splitlines()

    def names(self) -> set[str]:
        """Return what is registered; raises if that cannot be read."""
        store = ConfigStore(self.user.config_file)
        assert COMMENT in self.user.config_file.read_text()
        return {index.name for index in store.load()}


@dataclass(frozen=True)
class Command:
    """What is run; `check` looks at what is left, before and after it has run once more."""

    arguments: tuple[str, ...]
    check: Callable[[Bench, str, bool], None]
    prepare: Callable[[Bench], None] = lambda _: None
    where: str = COMMAND
    again: frozenset[int] = frozenset({0})
    step: int = 2


def registers(bench: Bench, fault: str, over: bool) -> None:
    names = bench.names()
    assert names == {"python", "second"} if over else names in ({"python"}, {"python", "second"})


def removes(bench: Bench, fault: str, over: bool) -> None:
    names = bench.names()
    assert names == set() if over else names in (set(), {"python"})
    if over:
        assert not list(bench.user.sessions.glob("*.json"))


def log_in_anew(bench: Bench) -> None:
    """Each fault gets a refresh token that nobody has used."""
    log_in(bench.user, bench.realm, bench.index)


def log_in_expired(bench: Bench) -> None:
    log_in_anew(bench)
    expire(bench.user)
    bench.done["refreshes"] = len(refreshes(bench.realm))


def refreshes_once(bench: Bench, fault: str, over: bool) -> None:
    """Until the provider is asked nothing is lost; then a failure costs a new login at most."""
    asked = [r.status for r in refreshes(bench.realm)[bench.done["refreshes"] :]]
    if not over:
        bench.done["sent"] = len(asked)
    assert asked in ([], [200], [200, 400])
    assert asked == [200] or bench.done["sent"] or not over


def logs_out(bench: Bench, fault: str, over: bool) -> None:
    done = bench.user.crane("token")
    assert done.returncode == 4 if over else done.returncode in {0, 4}, done.stderr


def fetches(bench: Bench, fault: str, over: bool) -> None:
    """Whatever came is whole; and it is known afterwards whose the project is."""
    came = bench.user.home / "x"
    expected = next(bench.machine.site.private.rglob("firm_lib*.whl")).read_bytes()
    assert not came.exists() or came.read_bytes() == expected
    if over:
        assert came.exists()
        assert has_served(bench.machine.paths.provenance, bench.index.token_prefix, "firm-lib")


REGISTER = (
    "index", "register", SECOND, "crane-pip", "https://idp.firm.test/token",
    "https://idp.firm.test/device", "--name", "second", "--fallback", "none", "--yes",
)  # fmt: skip
FETCH = ("run", "--", "curl", "-sSf", "-o", "x")
COMMANDS = {
    "register": Command(REGISTER, registers, step=1),
    "remove": Command(("index", "remove", "python"), removes, log_in_anew, again=frozenset({0, 5})),
    "refresh": Command(("token",), refreshes_once, log_in_expired, again=frozenset({0, 4})),
    "logout": Command(("logout",), logs_out, log_in_anew),
    "run": Command(FETCH, fetches, log_in_anew, step=4),
    "agent": Command(FETCH, fetches, log_in_anew, AGENT, step=4),
}


@pytest.fixture
def bench(site: Site, user: User, realm: Realm, tmp_path: Path) -> Iterator[Bench]:
    user.variables = {
        "HTTPS_PROXY": site.net.url(), "SSL_CERT_FILE": site.net.ca_file, "PIP_CERT": "", "CI": "1"
    }  # fmt: skip
    index = site.index()
    site.add_private("firm-lib", size=30_000)
    register(user, index)
    user.config_file.write_text(COMMENT + user.config_file.read_text())
    template = tmp_path / "template"
    shutil.copytree(user.home, template)
    machine = Machine(user, site)
    yield Bench(machine, realm, template, index, tmp_path / "log")
    machine.end_all()


@pytest.mark.parametrize("name", COMMANDS)
def test_each_write_of_a_command_fails_once(bench: Bench, name: str) -> None:
    command = COMMANDS[name]
    arguments = command.arguments
    if arguments is FETCH:
        page = f"{bench.index.url}/firm-lib/"
        arguments = (*FETCH, f"{page}firm_lib-1.0-py3-none-any.whl", "-o", "page", page)
    command.prepare(bench)
    assert bench.run(command.where, 0, "KILL", arguments).returncode == 0
    writes = bench.writes()
    # What is below a folder that cannot be made fails the same way.
    places = [at for at, write in enumerate(writes, 1) if not write.startswith("os.mkdir")]
    for at in places if ALL else places[:: command.step]:
        for fault in FAULTS if ALL else (next(bench.turn),):
            bench.reset()
            command.prepare(bench)
            done = bench.run(command.where, at, fault, arguments)
            said = f"{name}: {fault} at write {at}, {bench.writes()[-1]}\n{done.returncode}\n"
            said += f"{done.stdout}{done.stderr}{bench.machine.log()}"
            print(said)
            check_end(done, command.where, fault, said)
            command.check(bench, fault, False)
            again = bench.user.crane(*arguments)
            assert again.returncode in command.again, said + again.stderr
            command.check(bench, fault, True)


def check_end(done: subprocess.CompletedProcess[str], where: str, fault: str, said: str) -> None:
    """The code is the documented one, and there is one line, which names the reason."""
    assert "Traceback" not in said, said
    if where == AGENT:
        # It may be the tool that is told so, by its proxy.
        assert done.returncode == 0 or done.stderr.startswith(("crane: ", "curl: ")), said
        return
    assert done.returncode in CODES[fault], said
    if done.returncode > 0:
        assert done.stdout == "", said
        assert done.stderr.startswith("crane: "), said
        assert done.stderr.count("\n") == 1, said
