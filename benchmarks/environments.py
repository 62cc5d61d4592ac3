"""Virtual environments for the programs measured against, from their registry, below `.cache`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.tools import CACHE


def environment(name: str, *requirements: str) -> Path:
    """Return the folder of an environment's programs; made if it is not there as required."""
    root = CACHE / "environments" / name
    stamp, wanted = root / "requirements.txt", "\n".join([sys.version, *requirements])
    programs = root / "bin"
    if stamp.exists() and stamp.read_text() == wanted:
        return programs
    uv = [sys.executable, "-m", "uv"]
    _call(*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(root))
    python = str(programs / "python")
    _call(*uv, "pip", "install", "--quiet", "--python", python, *requirements)
    stamp.write_text(wanted)
    return programs


def _call(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
