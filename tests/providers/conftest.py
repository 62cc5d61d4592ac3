"""Fixtures of the tests against other providers than the one of `tests/idp`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.pips import end_agents
from support.world import User


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    """Give a user with an empty home, whose logins are in files; no agent is left running."""
    home = tmp_path / "home"
    home.mkdir()
    user = User(home, "", {"CRANE_VAULT": "file"})
    yield user
    end_agents(user)
