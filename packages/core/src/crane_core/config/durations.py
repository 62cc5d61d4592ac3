"""Lengths of time as people write them."""

from __future__ import annotations

import re

from crane_core.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])?", re.IGNORECASE)


def parse_duration(text: str, what: str) -> float:
    """Return seconds: `30d`, `12h`, `90m`, `45s`, `0`. Raises `UsageError`, which names `what`."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{what}: {text!r} is no length of time", hint="write it as 30d or 12h")
    number, unit = found.groups()
    return float(number) * _SECONDS[(unit or "s").lower()]


def show_duration(seconds: float) -> str:
    """Return a length of time for people: its two largest units."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3_600, whole // 86_400
    if hours < 1:
        return f"{minutes} min"
    units = (days, "d", hours % 24, "h") if days else (hours, "h", minutes % 60, "min")
    return f"{units[0]} {units[1]}" + (f" {units[2]} {units[3]}" if units[2] else "")
