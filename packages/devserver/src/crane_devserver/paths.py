"""Which request paths the server takes at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# What Spring's strict firewall refuses, in the path as sent. A plus sign is fine.
_REFUSED = re.compile(r"//|;|\\|%2f|%5c|%25|%3b|%00|%0a|%0d", re.IGNORECASE)
_DOT = re.compile(r"%2e", re.IGNORECASE)


def is_refused(raw: str) -> bool:
    """Tell whether a raw path gets 400: doubled slashes, semicolons, escapes of separators,
    and paths that are not canonical."""
    segments = _DOT.sub(".", raw).split("/")
    return _REFUSED.search(raw) is not None or "." in segments or ".." in segments


def split(path: str) -> tuple[str, str]:
    """Split a decoded path into the repository's name and the path below it."""
    name, _, rest = path.removeprefix("/").partition("/")
    return name, rest


def locate(root: Path, relative: str) -> Path | None:
    """Return the file or folder below ``root``; ``None`` where links lead out of it."""
    found = (root / relative).resolve()
    return found if found.is_relative_to(root.resolve()) else None
