"""Fixtures of the Poetry plugin's tests: a desk in a small internet with PyPI and an index."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from forward.rig import Site
from idp.oidc import Realm
from poetry.kit import NEWEST, Desk, Poetries
from poetry.pypi import PyPI
from support.desks import machine_of
from support.pips import log_in, register
from support.workers import shared_folder
from support.world import User


@pytest.fixture(scope="session")
def poetries(tmp_path_factory: pytest.TempPathFactory) -> Poetries:
    """Share the environments among the workers of a test run."""
    return Poetries(shared_folder(tmp_path_factory, "poetries"))


@pytest.fixture
def version() -> str:
    """The Poetry of a test; a parameter of that name takes its place."""
    return NEWEST


@pytest.fixture
def bare(site: Site, user: User, pypi: PyPI, poetries: Poetries, version: str) -> Iterator[Desk]:
    """Give a desk whose user has registered nothing."""
    with machine_of(user, site) as machine:
        yield Desk(machine, pypi, poetries.poetry(version))


@pytest.fixture
def unknown(bare: Desk) -> Desk:
    """Give a desk with the protected index registered, and nobody logged in."""
    register(bare.machine.user, bare.site.index(fallback="pypi"))
    return bare


@pytest.fixture
def desk(unknown: Desk, realm: Realm) -> Desk:
    """Give a desk with ada logged in."""
    log_in(unknown.machine.user, realm, unknown.site.index(fallback="pypi"))
    return unknown
