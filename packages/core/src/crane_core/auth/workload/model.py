"""What a detector is, and what it may touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from crane_core.http import Client
    from crane_core.secret import Secret


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What detectors look at; nothing of it is asked from the process itself."""

    environ: Mapping[str, str]
    client: Client
    # Runs a command and returns its output, None if there is no such program. Raises `OSError`
    # or `ValueError` with a short reason if it fails.
    run: Callable[[list[str]], Awaitable[str | None]]
    root: Path


@dataclass(frozen=True, slots=True)
class Detector:
    """One place an identity token may come from, by name."""

    name: str
    detect: Callable[[Surroundings, str], Awaitable[Secret | None]]
