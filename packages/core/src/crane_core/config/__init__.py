"""What the user registered: indexes and their policies."""

from __future__ import annotations
