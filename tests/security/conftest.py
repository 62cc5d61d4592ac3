"""Fixtures of the attacks: those of the routes that are attacked."""

from __future__ import annotations

from forward.conftest import home, rig

__all__ = ["home", "rig"]
