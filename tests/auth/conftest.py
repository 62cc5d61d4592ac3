"""Fixtures of the tests of logging in."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.pips import NEWEST, RUNNING, Environments, Pip
from support.world import User, World

from crane_core.config.model import Index
from crane_core.config.store import ConfigStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder for sessions that is not there yet."""
    return tmp_path / "data" / "sessions"


@pytest.fixture
def registered(world: World, user: User) -> User:
    """Give a user whose file names the protected index; registering is tested elsewhere."""
    # Crane polls as often as the provider says; a second each would be most of the run.
    world.realm.patch({"interval": 0.2}, endpoint="device_authorization", times=None)
    index = Index(
        "python",
        world.index_url,
        issuer=world.realm.issuer,
        fallback=world.public_url,
        # Logins in the browser of this machine are in tests/grants.
        grant="device",
    )
    ConfigStore(user.config_file).save(index)
    return user


@pytest.fixture
def pip_python(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> str:
    """Give the interpreter of a fresh environment with the newest pip."""
    templates = tmp_path_factory.getbasetemp() / "pips"
    templates.mkdir(exist_ok=True)
    environment = Environments(templates).make(tmp_path / "environment", Pip(RUNNING, NEWEST))
    return str(environment / "bin" / "python")
