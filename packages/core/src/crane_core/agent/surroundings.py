"""What a gateway takes from the environment of whoever starts it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from crane_core.cache.settings import read_settings
from crane_core.gateway.compose import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

NO = frozenset({"off", "0", "no", "false"})


def is_offline(environ: Mapping[str, str]) -> bool:
    """Whether the user wants answers from the cache only."""
    return environ.get("CRANE_OFFLINE", "").lower() not in {"", *NO}


def gateway_settings(environ: Mapping[str, str], *, offline: bool = False) -> Settings:
    """Return what the user has chosen. Raises `UsageError` for what cannot be read."""
    prefetch = environ.get("CRANE_PREFETCH", "").lower() not in NO
    return Settings(read_settings(environ), offline or is_offline(environ), prefetch)


def my_uids() -> frozenset[int] | None:
    """Return whose processes may connect: ours and root's, who can read our memory anyway."""
    getuid = getattr(os, "getuid", None)
    return frozenset({getuid(), 0}) if getuid else None
