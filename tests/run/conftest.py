"""Fixtures of `crane run`: a machine in a small internet, with ada logged in or nobody."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from forward.net import Net, small_net
from forward.rig import Site, make_site
from idp.oidc import Realm
from run.kit import Machine
from support.pips import Environments, MakeEnvironment, Pip, log_in, register
from support.world import User


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    """Give the internet, which is reached by a proxy that wants Basic, and has a CA of its own."""
    with small_net(tmp_path / "net", login="ada:lovelace") as net:
        yield net


@pytest.fixture
def site(net: Net, realm: Realm, tmp_path: Path) -> Iterator[Site]:
    """Give a protected index and a public one."""
    with make_site(tmp_path / "site", net, realm) as site:
        yield site


@pytest.fixture
def machine(site: Site, user: User) -> Iterator[Machine]:
    """Give a machine whose user has registered the protected index, and is not logged in."""
    user.variables = {
        "HTTPS_PROXY": site.net.url("ada:lovelace@"),
        "SSL_CERT_FILE": site.net.ca_file,
        # What the test run itself was given must not stand in for what crane sets.
        "REQUESTS_CA_BUNDLE": "",
        "PIP_CERT": "",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_CACHE": "1",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_CONFIG_FILE": "/dev/null",
        "CI": "1",
    }
    register(user, site.index())
    machine = Machine(user, site)
    yield machine
    machine.end_all()


@pytest.fixture
def ada(machine: Machine, realm: Realm) -> Machine:
    """Give the machine with ada logged in."""
    log_in(machine.user, realm, machine.site.index())
    return machine


@pytest.fixture
def make_environment(environments: Environments, tmp_path: Path) -> MakeEnvironment:
    """Make fresh environments below the test's folder."""

    def make(pip: Pip | None = None, name: str = "env") -> Path:
        return environments.make(tmp_path / name, pip)

    return make


@pytest.fixture(autouse=True)
def _no_program_is_missing() -> None:
    assert shutil.which("curl"), "these tests need curl"
