"""Fixtures of the fault suite: a gateway in a thread, where no process of its own is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from gateway.harness import Home, new_home
from idp.oidc import Realm


@pytest.fixture
def home(realm: Realm, tmp_path: Path) -> Home:
    """Give a user's empty folders."""
    return new_home(tmp_path / "gateway-home", realm)
