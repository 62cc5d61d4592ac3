"""What the workers of a test run, which are processes, have in common."""

from __future__ import annotations

from pathlib import Path

import pytest


def shared_folder(factory: pytest.TempPathFactory, name: str) -> Path:
    """Return a folder of the whole run, made if need be."""
    base = factory.getbasetemp()
    folder = (base.parent if "popen-gw" in base.name else base) / name
    folder.mkdir(exist_ok=True)
    return folder
