"""The ways to get tokens, each a unit behind one interface."""

from __future__ import annotations
