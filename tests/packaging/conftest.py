"""Fixtures of the distributions' tests."""

from __future__ import annotations

import pytest
from run.conftest import ada, machine
from support.tooling import toolbox
from support.workshop import Builder

__all__ = ["ada", "machine", "toolbox"]


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Give the distributions, each of them built once."""
    return Builder(tmp_path_factory.mktemp("distributions"))
