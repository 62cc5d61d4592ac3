"""What the user may set about the cache: how large it grows, how old a page may be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.config.durations import parse_duration
from crane_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

SIZE_VARIABLE = "CRANE_CACHE_SIZE"
STALE_VARIABLE = "CRANE_STALE_LIMIT"
DEFAULT_SIZE = 10 * 10**9
DEFAULT_STALE_LIMIT = 7 * 86_400.0
_UNITS = "KMGT"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(i?))?B?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """Bytes that the cache may take, 0 for no cache; seconds that a page may be stale."""

    size: int = DEFAULT_SIZE
    stale_limit: float = DEFAULT_STALE_LIMIT


def read_settings(environ: Mapping[str, str]) -> CacheSettings:
    """Return the settings of the environment. Raises `UsageError` for one that cannot be read."""
    size, stale = environ.get(SIZE_VARIABLE), environ.get(STALE_VARIABLE)
    return CacheSettings(
        DEFAULT_SIZE if not size else parse_size(size, SIZE_VARIABLE),
        DEFAULT_STALE_LIMIT if not stale else parse_duration(stale, STALE_VARIABLE),
    )


def parse_size(text: str, what: str) -> int:
    """Return bytes: `5GB`, `500 MB`, `1.5GiB`, `0`. Raises `UsageError`, which names `what`."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{what}: {text!r} is no size", hint="write it as 5GB, 500MB or 0")
    number, unit, binary = found.groups()
    base = 1024 if binary else 1000
    return int(float(number) * base ** (1 + _UNITS.index(unit.upper()) if unit else 0))


def show_size(size: float) -> str:
    """Return a size for people: three digits at most."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 9.95 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
