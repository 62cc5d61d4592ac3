"""What a detector is, and what it may touch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from crane_core.http import Client
    from crane_core.secret import Secret

ROOT = Path("/")  # below it is the machine that crane runs on


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What detectors look at; nothing of it is asked from the process itself."""

    environ: Mapping[str, str]
    client: Client
    # Makes a client for services beside this machine, to which no proxy leads. A proxy that the
    # environment names must not see a machine's identity, and would answer with its own.
    direct: Callable[[], Client]
    # Runs a command and returns its output, None if there is no such program. Raises `OSError`
    # or `ValueError` with a short reason if it fails.
    run: Callable[[list[str]], Awaitable[str | None]]
    root: Path


@dataclass(frozen=True, slots=True)
class Detector:
    """One place an identity token may come from, by name.

    `signs` are the variables, and `is_at` a look below the root, by which it is seen without
    asking anybody.
    """

    name: str
    detect: Callable[[Surroundings, str], Awaitable[Secret | None]]
    signs: tuple[str, ...]
    is_at: Callable[[Path], bool] = lambda _: False
