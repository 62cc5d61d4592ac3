"""What the user may choose about a gateway."""

from __future__ import annotations

from dataclasses import dataclass, field

from crane_core.cache.settings import CacheSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """The cache, and whether anything is asked, or asked for ahead."""

    cache: CacheSettings = field(default_factory=CacheSettings)
    offline: bool = False
    prefetch: bool = True
