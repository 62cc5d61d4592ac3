"""The first run: `crane setup`."""

from __future__ import annotations
