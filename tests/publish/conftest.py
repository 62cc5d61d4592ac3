"""Fixtures of the uploads' tests: an index that takes them, and a gateway before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway.harness import Home, new_home
from idp.oidc import Realm
from publish.kit import WRITERS, Desk, desk_at
from run.conftest import ada, machine, net, site
from support.tooling import toolbox
from support.world import World, make_world

from crane_devserver.behaviour import Behaviour

__all__ = ["ada", "machine", "net", "site", "toolbox"]


@pytest.fixture
def home(realm: Realm, tmp_path: Path) -> Home:
    """Give a user's empty folders."""
    return new_home(tmp_path / "gateway-home", realm)


@pytest.fixture
def behaviour() -> Behaviour:
    """How the index answers; a parameter of that name takes its place."""
    return Behaviour(partial_uploads=True)


@pytest.fixture
def world(realm: Realm, tmp_path: Path, behaviour: Behaviour) -> Iterator[World]:
    """Give an index that takes uploads."""
    with make_world(tmp_path / "world", realm, behaviour=behaviour, writers=WRITERS) as world:
        yield world


@pytest.fixture
def desk(world: World, home: Home) -> Iterator[Desk]:
    """Give a gateway before it."""
    with desk_at(world, home) as desk:
        yield desk
