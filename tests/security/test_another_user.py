"""Another user of the machine: no file, no port and no process tells them anything."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from forward.rig import PRIVATE_HOST, Site
from gateway.serving import Lines
from idp.oidc import Realm
from run.kit import Machine
from support.pips import log_in, register
from support.world import CRANE, User

STRANGER = Path(__file__).with_name("stranger.py")
NOBODY = 65534

pytestmark = pytest.mark.skipif(
    not hasattr(os, "setuid") or os.getuid() != 0, reason="only root becomes another user"
)


@dataclass(frozen=True)
class Target:
    """What there is to be attacked, all of it in use."""

    machine: Machine
    folders: list[Path]
    ports: list[int]
    processes: list[int]
    proxy: str
    token: str


@pytest.fixture
def machine(site: Site, realm: Realm) -> Iterator[Machine]:
    """Give a user whose home everybody may enter, and whose umask hides nothing."""
    home = Path(tempfile.mkdtemp(prefix="crane-home-"))
    home.chmod(0o755)
    before = os.umask(0o000)
    user = User(home, realm.issuer, {"HTTPS_PROXY": site.net.url(), "CI": "1"})
    user.variables["SSL_CERT_FILE"] = site.net.ca_file
    machine = Machine(user, site)
    try:
        yield machine
    finally:
        os.umask(before)
        machine.end_all()
        shutil.rmtree(home)


@pytest.fixture
def target(machine: Machine, realm: Realm) -> Iterator[Target]:
    """Log in, fill the cache, and leave an agent, a view and a `crane serve` running."""
    user, site = machine.user, machine.site
    index = site.index()
    register(user, index)
    token = log_in(user, realm, index)
    site.add_private("firm-lib")
    url = f"{site.index_url}/firm-lib/firm_lib-1.0-py3-none-any.whl"
    fetched = machine.run("curl", "--silent", "--fail", "--output", "/dev/null", url)
    assert fetched.returncode == 0, fetched.stderr
    shell = "echo $HTTPS_PROXY; read x"
    with (
        machine.start("run", "--", "sh", "-c", shell) as child,
        subprocess.Popen(
            [CRANE, "serve", "--port", "0"], env=user.environ, cwd=user.home, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ) as serve,
    ):  # fmt: skip
        assert child.stdout
        assert serve.stdout
        proxy = child.stdout.readline().strip()
        served = Lines(serve.stdout).wait_for("Serving index proxy on: ").rpartition(":")[2]
        agent = machine.agent()
        paths = machine.paths
        folders = [paths.config, paths.data, paths.cache, paths.runtime]
        try:
            yield Target(
                machine, folders, [agent.port, int(served)], [agent.pid, serve.pid, child.pid],
                proxy, token,
            )  # fmt: skip
        finally:
            serve.terminate()


def seen_by(uid: int, target: Target) -> dict[str, Any]:
    """Return what a user of this machine finds out."""
    login = urlsplit(target.proxy).netloc.rpartition("@")[0]
    basic = base64.b64encode(login.encode()).decode()
    wanted = {
        "folders": [str(folder) for folder in target.folders],
        "ports": target.ports,
        "processes": target.processes,
        "host": PRIVATE_HOST,
        "login": f"proxy-authorization: Basic {basic}\r\n",
    }
    done = subprocess.run(
        [sys.executable, "-I", STRANGER, str(uid), json.dumps(wanted)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_stranger_finds_nothing_on_disk_in_processes_or_at_ports(target: Target) -> None:
    seen = seen_by(NOBODY, target)

    assert seen["files"] == []
    assert seen["processes"] == []
    secret = urlsplit(target.proxy).password
    assert secret
    for hidden in (target.token, secret):
        assert hidden not in seen["commands"]
    assert len(seen["answers"]) == 12
    for request, answer in seen["answers"]:
        status, _, rest = answer.partition("\r\n")
        assert status.split(" ")[1] in {"400", "403", "405"}, (request, answer)
        for hidden in (target.token, secret, "firm_lib", "ada"):
            assert hidden not in rest, request


def test_the_same_questions_are_answered_to_the_user_themself(target: Target) -> None:
    """Else the test before would prove nothing."""
    seen = seen_by(os.getuid(), target)

    names = {Path(path).name for path in seen["files"]}
    assert {"config.toml", "sessions"} <= names
    assert f"/proc/{target.processes[0]}/environ" in seen["processes"]
    whole = "\n".join(answer for _, answer in seen["answers"])
    assert "HTTP/1.1 200 Connection established" in whole
    assert "firm_lib-1.0" in whole
