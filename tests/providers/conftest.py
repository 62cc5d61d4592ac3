"""Fixtures of the tests against other providers than the one of `tests/idp`."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.world import User


@pytest.fixture
def user(tmp_path: Path) -> User:
    """Give a user with an empty home, whose logins are in files."""
    home = tmp_path / "home"
    home.mkdir()
    return User(home, "", {"CRANE_VAULT": "file"})
