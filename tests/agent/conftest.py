"""Fixtures of the agent's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from agent.kit import Bench, new_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Give the parts of an agent, with nothing opened."""
    return new_bench(tmp_path)
