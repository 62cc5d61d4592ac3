"""Fixtures of the Hatch plugin's tests: a desk in a small internet with PyPI and an index."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from forward.rig import Site
from hatch.kit import NEWEST, HatchDesk, Hatches
from idp.oidc import Realm
from poetry.pypi import PyPI
from run.kit import Machine
from support.pips import log_in, register
from support.tooling import toolbox
from support.world import User

__all__ = ["toolbox"]


@pytest.fixture(scope="session")
def hatches(tmp_path_factory: pytest.TempPathFactory) -> Hatches:
    """Share the environments among the workers of a test run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "popen-gw" in base.name else base) / "hatches"
    folder.mkdir(exist_ok=True)
    return Hatches(folder)


@pytest.fixture
def version() -> str:
    """The Hatch of a test; a parameter of that name takes its place."""
    return NEWEST


@pytest.fixture
def fresh(
    site: Site, user: User, pypi: PyPI, hatches: Hatches, version: str
) -> Iterator[HatchDesk]:
    """Give a desk whose user has registered nothing."""
    user.variables = {
        "HTTPS_PROXY": site.net.url(),
        "SSL_CERT_FILE": site.net.ca_file,
        "REQUESTS_CA_BUNDLE": site.net.ca_file,
        "PIP_CERT": "",
        "CI": "1",
    }
    machine = Machine(user, site)
    yield HatchDesk(machine, pypi, hatches.hatch(version))
    machine.end_all()


@pytest.fixture
def unknown(fresh: HatchDesk) -> HatchDesk:
    """Give a desk with the protected index registered, and nobody logged in."""
    register(fresh.machine.user, fresh.site.index(fallback="pypi"))
    return fresh


@pytest.fixture
def desk(unknown: HatchDesk, realm: Realm) -> HatchDesk:
    """Give a desk with ada logged in."""
    log_in(unknown.machine.user, realm, unknown.site.index(fallback="pypi"))
    return unknown
