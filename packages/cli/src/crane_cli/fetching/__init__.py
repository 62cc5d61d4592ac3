"""Filling the cache for work without the index: `crane prefetch`."""

from __future__ import annotations
