"""Fixtures of the Hatch plugin's tests: a desk in a small internet with PyPI and an index."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from forward.rig import Site
from hatch.kit import NEWEST, HatchDesk, Hatches
from idp.oidc import Realm
from poetry.pypi import PyPI
from support.desks import machine_of
from support.pips import log_in, register
from support.tooling import toolbox
from support.workers import shared_folder
from support.world import User

__all__ = ["toolbox"]


@pytest.fixture(scope="session")
def hatches(tmp_path_factory: pytest.TempPathFactory) -> Hatches:
    """Share the environments among the workers of a test run."""
    return Hatches(shared_folder(tmp_path_factory, "hatches"))


@pytest.fixture
def version() -> str:
    """The Hatch of a test; a parameter of that name takes its place."""
    return NEWEST


@pytest.fixture
def fresh(
    site: Site, user: User, pypi: PyPI, hatches: Hatches, version: str
) -> Iterator[HatchDesk]:
    """Give a desk whose user has registered nothing."""
    with machine_of(user, site, REQUESTS_CA_BUNDLE=site.net.ca_file) as machine:
        yield HatchDesk(machine, pypi, hatches.hatch(version))


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
