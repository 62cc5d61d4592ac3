"""A home that is full, read-only or not ours to write, and too few descriptors: one clear line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from auth.disks import drain, fill, make_read_only, make_writable, small_disk
from auth.stored import expire, refreshes
from forward.rig import Site
from idp.oidc import Realm
from run.kit import Machine
from support.pips import log_in, register
from support.world import CRANE, User

from crane_core.config.model import Index
from crane_core.config.store import ConfigStore

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system")

SECOND = (
    "index", "register", "https://second.firm.test/simple", "crane-pip", "https://idp.test/token",
    "https://idp.test/device", "--name", "second", "--fallback", "none", "--yes",
)  # fmt: skip
# Each with the codes that it may end with; what writes nothing ends well.
FULL, DENIED, AGENT = 9, 8, 33
COMMANDS: list[tuple[tuple[str, ...], bool]] = [
    (("status", "--json"), False),
    (("index", "list"), False),
    (("token",), False),
    (("agent", "status"), False),
    (("cache", "info"), False),
    (SECOND, True),
    (("index", "set", "python", "--fallback", "none"), True),
    (("vault", "file"), True),
    (("run", "--", "true"), True),
    (("login", "--force"), True),
]


@pytest.fixture
def user(realm: Realm, tmp_path: Path) -> Iterator[User]:
    """Give a user whose home is a file system of its own, if that may be mounted here."""
    home = tmp_path / "home"
    with ExitStack() as stack:
        try:
            stack.enter_context(small_disk(home, "4m"))
        except subprocess.CalledProcessError as error:
            pytest.skip(f"nothing may be mounted here: {error.stderr.strip()}")
        yield User(home, realm.issuer)


@pytest.fixture
def machine(site: Site, user: User, realm: Realm) -> Iterator[Machine]:
    user.variables = {
        "HTTPS_PROXY": site.net.url(), "SSL_CERT_FILE": site.net.ca_file, "PIP_CERT": "", "CI": "1"
    }  # fmt: skip
    site.add_private("firm-lib")
    register(user, site.index())
    log_in(user, realm, site.index())
    machine = Machine(user, site)
    yield machine
    machine.end_all()


def check(done: subprocess.CompletedProcess[str], codes: set[int]) -> None:
    """It has ended well, or with one line and one of these codes."""
    said = f"{done.args} {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in said, said
    assert done.returncode in codes, said
    if done.returncode:
        lines = done.stderr.splitlines()
        assert lines, said
        assert lines[-1].startswith("crane: "), said


def all_commands(machine: Machine, code: int, *prefix: str) -> list[str]:
    """Run every command, and return those that have failed, each in a right way."""
    failed = []
    for command, writes in COMMANDS:
        done = machine.user.run(*prefix, CRANE, *command)
        check(done, {code, AGENT} if writes and "run" in command else {code if writes else 0, 4})
        assert done.returncode or not writes or command[0] == "login", (command, done.stdout)
        failed += [command[0]] if done.returncode else []
    return failed


def names(user: User) -> set[str]:
    return {index.name for index in ConfigStore(user.config_file).load()}


def check_that_all_is_well(machine: Machine, realm: Realm, index: Index) -> None:
    """Nothing is lost, and what failed before works now."""
    user = machine.user
    assert names(user) == {"python"}
    assert not list(user.home.rglob(".*.tmp"))
    expire(user)
    user.crane("token", check=True)
    assert [request.status for request in refreshes(realm)] == [200]
    url = f"{index.url}/firm-lib/firm_lib-1.0-py3-none-any.whl"
    assert machine.run("curl", "-sSf", "-o", "/dev/null", url).returncode == 0, machine.log()
    user.crane(*SECOND, check=True)
    user.crane("logout", "python", check=True)


def test_a_full_home(machine: Machine, realm: Realm) -> None:
    fill(machine.user.home)
    all_commands(machine, FULL)
    # Nor can anything be said: the standard output is full as well.
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [CRANE, "status"], env=machine.user.environ, stdout=full, stderr=subprocess.PIPE,
            text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("crane: the system says: No space left on device")
    assert done.stderr.count("\n") == 1
    drain(machine.user.home)
    check_that_all_is_well(machine, realm, machine.site.index())


def test_a_read_only_home(machine: Machine, realm: Realm) -> None:
    make_read_only(machine.user.home)
    all_commands(machine, DENIED)
    make_writable(machine.user.home)
    check_that_all_is_well(machine, realm, machine.site.index())


@contextmanager
def without_write_permission(home: Path) -> Iterator[tuple[str, ...]]:
    """Yield what runs a command that may not do more than its user's permissions say."""
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("root may write everywhere, and there is no setpriv to take that away")
    folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    capabilities = "-dac_override,-dac_read_search,-fowner"
    root = ("setpriv", f"--bounding-set={capabilities}", f"--inh-caps={capabilities}")
    yield root if os.geteuid() == 0 else ()
    for folder in folders:
        folder.chmod(0o700)


def test_a_home_that_may_not_be_written(machine: Machine, realm: Realm) -> None:
    with without_write_permission(machine.user.home) as prefix:
        all_commands(machine, DENIED, *prefix)
    check_that_all_is_well(machine, realm, machine.site.index())


def test_too_few_descriptors(machine: Machine, realm: Realm) -> None:
    """From so few that Python itself just starts, up to where everything works."""
    url = f"{machine.site.index().url}/firm-lib/firm_lib-1.0-py3-none-any.whl"
    ends = []
    for count in (6, 12, 40):
        limit = ("sh", "-c", f'ulimit -n {count}; exec "$@"', "sh", CRANE)
        check(machine.user.run(*limit, "token"), {0, 1, 8})
        done = machine.user.run(*limit, "run", "--", "curl", "-sSf", "-o", "/dev/null", url)
        if "curl: " not in done.stderr:
            check(done, {0, 1, 8, 33})
        ends.append(done.returncode)
        machine.end_all()
    assert ends[0] != 0
    assert ends[-1] == 0
    check_that_all_is_well(machine, realm, machine.site.index())
