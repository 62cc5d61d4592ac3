"""Make the benchmarks importable: they are no distribution and lie beside the tests."""

from __future__ import annotations

import sys
from pathlib import Path

# At the end: nothing of the root may hide an installed package.
sys.path.append(str(Path(__file__).resolve().parents[2]))
