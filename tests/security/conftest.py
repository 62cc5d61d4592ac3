"""Fixtures of the attacks: those of the routes and the tools that are attacked."""

from __future__ import annotations

from forward.conftest import home, make_environment, rig
from hatch.conftest import hatches
from pdm.conftest import pdms
from poetry.conftest import poetries

__all__ = ["hatches", "home", "make_environment", "pdms", "poetries", "rig"]
