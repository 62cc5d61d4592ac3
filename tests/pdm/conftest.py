"""Fixtures of the PDM plugin's tests: a desk in a small internet with PyPI and an index."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from forward.rig import Site
from idp.oidc import Realm
from pdm.kit import NEWEST, PdmDesk, Pdms
from poetry.pypi import PyPI
from support.desks import machine_of
from support.pips import log_in, register
from support.workers import shared_folder
from support.world import User


@pytest.fixture(scope="session")
def pdms(tmp_path_factory: pytest.TempPathFactory) -> Pdms:
    """Share the environments among the workers of a test run."""
    return Pdms(shared_folder(tmp_path_factory, "pdms"))


@pytest.fixture
def version() -> str:
    """The PDM of a test; a parameter of that name takes its place."""
    return NEWEST


@pytest.fixture
def fresh(site: Site, user: User, pypi: PyPI, pdms: Pdms, version: str) -> Iterator[PdmDesk]:
    """Give a desk whose user has registered nothing."""
    with machine_of(user, site, REQUESTS_CA_BUNDLE=site.net.ca_file) as machine:
        yield PdmDesk(machine, pypi, pdms.pdm(version))


@pytest.fixture
def unknown(fresh: PdmDesk) -> PdmDesk:
    """Give a desk with the protected index registered, and nobody logged in."""
    register(fresh.machine.user, fresh.site.index(fallback="pypi"))
    return fresh


@pytest.fixture
def desk(unknown: PdmDesk, realm: Realm) -> PdmDesk:
    """Give a desk with ada logged in."""
    log_in(unknown.machine.user, realm, unknown.site.index(fallback="pypi"))
    return unknown
