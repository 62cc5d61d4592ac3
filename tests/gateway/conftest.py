"""Fixtures of the gateway's tests: a user who is logged in, and their gateway."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from gateway.harness import Gate, Home, index_of, new_home
from gateway.serving import Operator, new_operator
from support.world import KEPT, World, make_world

from crane_devserver.behaviour import STATIC_INDEX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from idp.oidc import Idp, Realm

    from crane_core.config.model import Index


@pytest.fixture
def home(realm: Realm, tmp_path: Path) -> Home:
    """Give a user's empty folders."""
    return new_home(tmp_path / "gateway-home", realm)


@pytest.fixture
def index(world: World) -> Index:
    """Give the protected index as registered."""
    return index_of(world)


@pytest.fixture
def static(realm: Realm, tmp_path: Path) -> Iterator[World]:
    """Give a protected index on a file server that answers range requests."""
    with make_world(tmp_path / "static", realm, behaviour=STATIC_INDEX) as world:
        yield world


@pytest.fixture
def gate(home: Home, index: Index) -> Iterator[Gate]:
    """Give the gateway of a user who is logged in as ada."""
    home.login(index)
    with home.serve(index) as gate:
        yield gate


@dataclass(frozen=True)
class Site:
    """A world and a gateway that the tests of one module share; each uses names of its own."""

    world: World
    home: Home
    index: Index
    gate: Gate

    def asked_public(self, name: str) -> list[str]:
        """Return the paths with a name in them that the public index was asked for."""
        return [r.path for r in self.world.public_server.requests if name in r.path]


@pytest.fixture(scope="module")
def site(providers: Idp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give one world with a gateway to all tests of a module that leave no traces."""
    # What the last test did to the provider must not reach this login.
    providers.reset()
    folder = tmp_path_factory.mktemp("site")
    realm = providers["keycloak"]
    with pytest.MonkeyPatch.context() as patch, make_world(folder / "world", realm) as world:
        for name in set(os.environ) - set(KEPT):
            if "proxy" in name.lower():
                patch.delenv(name)
        home = new_home(folder / "home", realm)
        index = index_of(world)
        home.login(index)
        with home.serve(index) as gate:
            yield Site(world, home, index, gate)


@pytest.fixture
def operator(realm: Realm, index: Index, tmp_path: Path) -> Operator:
    """Give somebody who has registered the index and is logged in, in files of their own."""
    operator = new_operator(tmp_path / "operator", realm)
    operator.register(index)
    operator.home.login(index)
    return operator
