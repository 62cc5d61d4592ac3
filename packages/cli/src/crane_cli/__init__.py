"""The `crane` command."""

from __future__ import annotations
