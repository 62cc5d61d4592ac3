"""Run the benchmarks that the command line names, or all: `python -m benchmarks [NAME…]`."""

from __future__ import annotations

import importlib
import sys

NAMES = ("memory", "start")


def main() -> int:
    """Run them in order; the exit code is 1 if one misses its bound."""
    wanted = sys.argv[1:] or NAMES
    if unknown := [name for name in wanted if name not in NAMES]:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    good = [importlib.import_module(f"benchmarks.{name}").run() for name in wanted]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
