"""Fixtures for every test: a clean environment, an identity provider, a world and a user.

And a small internet for tests that need hosts with names and TLS.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from forward.net import Net, small_net
from forward.rig import Site, make_site
from gateway.harness import index_of
from hypothesis import HealthCheck, settings
from idp.oidc import Idp, Realm, start_idp
from poetry.pypi import FILES, HOST, PyPI
from support.pips import Environments, end_agents, log_in, register
from support.workers import shared_folder
from support.world import KEPT, User, World, make_world

# How fast examples are made says nothing of the code: the machine may be busy.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def _clean_environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no test depend on the variables or the home of whoever runs it."""
    for name in list(os.environ):
        if name not in KEPT and not name.startswith(("COVERAGE_", "PYTEST_", "PIP_CERT")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CRANE_HOME", str(tmp_path / "crane-home"))


@pytest.fixture(scope="session")
def providers() -> Iterator[Idp]:
    """One identity provider process with every realm, for the whole run."""
    with start_idp() as idp:
        yield idp


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Environments:
    """Share the fetched pips among the workers of a test run."""
    return Environments(shared_folder(tmp_path_factory, "pips"))


@pytest.fixture
def idp(providers: Idp) -> Idp:
    """Give the provider without grants, quirks or log entries of earlier tests."""
    providers.reset()
    return providers


@pytest.fixture
def realm(idp: Idp) -> Realm:
    """Give the realm that behaves like Keycloak."""
    return idp["keycloak"]


@pytest.fixture
def world(realm: Realm, tmp_path: Path) -> Iterator[World]:
    """Give a protected index for the realm's users, and a public one."""
    with make_world(tmp_path / "world", realm) as world:
        yield world


@pytest.fixture
def user(realm: Realm, tmp_path: Path) -> Iterator[User]:
    """Give a user with an empty home; no agent of theirs is left running."""
    home = tmp_path / "home"
    home.mkdir()
    user = User(home, realm.issuer)
    yield user
    end_agents(user)


@pytest.fixture
def registered(world: World, user: User) -> User:
    """Give a user who has registered the protected index, with the public one as fallback."""
    register(user, index_of(world))
    return user


@pytest.fixture
def logged_in(registered: User, world: World) -> User:
    """Give a user who is logged in, too."""
    log_in(registered, world.realm, index_of(world))
    return registered


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    """Give the internet, which is reached by a proxy and has a CA of its own."""
    with small_net(tmp_path / "net") as net:
        yield net


@pytest.fixture
def site(net: Net, realm: Realm, tmp_path: Path) -> Iterator[Site]:
    """Give a protected index and a public one."""
    with make_site(tmp_path / "site", net, realm) as site:
        yield site


@pytest.fixture
def pypi(net: Net, tmp_path: Path) -> Iterator[PyPI]:
    """Give PyPI, under its real names."""
    folder = tmp_path / "pypi"
    folder.mkdir()
    pypi = PyPI(folder)
    with net.host(pypi, HOST), net.host(pypi, FILES):
        yield pypi
