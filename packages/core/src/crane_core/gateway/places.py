"""Where a path below an index's root leads."""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.utils import canonicalize_name

PROJECT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The one spelling of a page's path, where it was asked for by another."""

    location: str


def place_below(path: str, prefix: str) -> str | Elsewhere | None:
    """Return which project a path below an index's root names: empty for the root itself.

    `prefix` is the root's path, without a slash at its end. None if it names no project.
    """
    project = path.strip("/")
    normalised = canonicalize_name(project)
    if not project:
        return "" if path else Elsewhere(f"{prefix}/")
    if not PROJECT.fullmatch(normalised):
        return None
    # PEP 503 §Specification: one spelling, with a slash at the end.
    return normalised if path == f"/{normalised}/" else Elsewhere(f"{prefix}/{normalised}/")
