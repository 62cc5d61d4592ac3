"""Fixtures of the forward route: a small internet, two indexes in it, a user who is logged in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from forward.net import Net, small_net
from forward.rig import Rig, Site, forward, make_site
from gateway.harness import Home, new_home
from idp.oidc import Realm
from support.pips import Environments, MakeEnvironment, Pip


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    """Give the internet; the gateway reaches it by its proxy and trusts its CA."""
    with small_net(tmp_path / "net") as net:
        monkeypatch.setenv("HTTPS_PROXY", net.url())
        monkeypatch.setenv("SSL_CERT_FILE", net.ca_file)
        yield net


@pytest.fixture
def site(net: Net, realm: Realm, tmp_path: Path) -> Iterator[Site]:
    """Give a protected index and a public one."""
    with make_site(tmp_path / "site", net, realm) as site:
        yield site


@pytest.fixture
def home(realm: Realm, tmp_path: Path) -> Home:
    """Give a user's empty folders."""
    return new_home(tmp_path / "gateway-home", realm)


@pytest.fixture
def rig(site: Site, home: Home, tmp_path: Path) -> Iterator[Rig]:
    """Give a forward route before the protected index, with ada logged in."""
    index = site.index()
    home.login(index)
    with forward(home, site.net, tmp_path, index) as rig:
        yield rig


@pytest.fixture
def make_environment(environments: Environments, tmp_path: Path) -> MakeEnvironment:
    """Make fresh environments below the test's folder."""

    def make(pip: Pip | None = None, name: str = "env") -> Path:
        return environments.make(tmp_path / name, pip)

    return make
