"""Run the benchmarks that the command line names, or all: `python -m benchmarks [NAME…]`."""

from __future__ import annotations

import argparse
import importlib
import sys

from benchmarks import report, results
from benchmarks.tools import Unavailable

NAMES = ("start", "agent", "forward", "pages", "files", "memory", "resolution", "plugins",
         "sustained")  # fmt: skip


def main() -> int:
    """Run them in order; the exit code is 1 if one misses a bound or cannot be run."""
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=5, help="paired runs of each (5)")
    args = parser.parse_args()
    if unknown := [name for name in args.names if name not in NAMES]:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    good = True
    for name in args.names or NAMES:
        print(f"== {name}", flush=True)
        try:
            found = importlib.import_module(f"benchmarks.{name}").run(args.rounds)
        except Unavailable as error:
            print(f"{name} could not be measured: {error}", flush=True)
            good = False
            continue
        results.save(name, found, args.rounds)
        good = good and found.good
    report.write()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
