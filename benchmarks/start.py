"""How long crane's own start takes, in bare Python starts."""

from __future__ import annotations

import subprocess
import sys
import time

ROUNDS = 10
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "crane --help": ["-m", "crane_cli", "--help"],
    "crane --version": ["-m", "crane_cli", "--version"],
    "import crane_core": ["-c", "import crane_core"],
}


def run() -> bool:
    """Measure in turn, so that a busy machine is busy for all, and print the ratios."""
    best = dict.fromkeys(COMMANDS, float("inf"))
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            best[name] = min(best[name], time.perf_counter() - start)
    bare = best["python -c pass"]
    for name, seconds in best.items():
        own = (seconds - bare) * 1000
        print(
            f"start: {name:18} {seconds * 1000:4.0f} ms, {seconds / bare:4.1f}×, own {own:.0f} ms"
        )
    return (best["crane --help"] - bare) < 0.150
