"""Importing what an agent has not needed yet.

An upgrade replaces the files below a running agent. What it imported from then on would be of the
next version, and may not fit what it has; so it has everything in memory soon after its start.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil

import crane_core

SECONDS = 1.0  # after the start, when the first command has got what it wants
OTHERS = ("clients",)  # what runs in other processes
# What our modules import in functions only, to start quickly.
LIBRARIES = (
    "aiohappyeyeballs", "filelock", "hishel", "idna", "joserfc.errors", "joserfc.jwk",
    "joserfc.jwt", "keyring.core", "prometheus_client.metrics_core", "selectolax.lexbor", "tomlkit",
)  # fmt: skip


def import_all() -> None:
    """Import our own modules and their libraries; what cannot be had is passed over."""
    for name in [*_ours(crane_core.__name__, crane_core.__path__), *LIBRARIES]:
        # Whoever needs it says so.
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _ours(package: str, folders: list[str]) -> list[str]:
    found = []
    for module in pkgutil.iter_modules(folders):
        name = f"{package}.{module.name}"
        if module.name in {*OTHERS, "__main__"}:
            continue
        found.append(name)
        if module.ispkg:
            found += _ours(name, [f"{folder}/{module.name}" for folder in folders])
    return found
