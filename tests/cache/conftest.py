"""Fixtures of the tests of the cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cache.kit import Desk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder for the cache that is not there yet."""
    return tmp_path / "cache" / "crane"


@pytest.fixture
def desk(folder: Path) -> Iterator[Desk]:
    """Give a cache with room for everything."""
    desk = Desk(folder)
    yield desk
    desk.close()
