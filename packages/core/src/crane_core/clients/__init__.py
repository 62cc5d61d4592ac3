"""How a tool gets to the gateway."""

from __future__ import annotations
