"""`python -m crane_core.agent`: only an agent's client starts this (start.py)."""

from __future__ import annotations

import sys

from crane_core.agent.process import main

if __name__ == "__main__":
    sys.exit(main())
