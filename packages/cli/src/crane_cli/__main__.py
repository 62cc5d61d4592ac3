"""`python -m crane_cli`."""

from __future__ import annotations

from crane_cli.main import entry

entry()
