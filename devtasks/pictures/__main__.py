"""Make the pictures that the pages show, in docs/pictures: `python3 dev.py pictures`.

A real index and identity provider, real commands in a real pseudo terminal, a real browser. What
differs from run to run (ports, times, sizes of what others publish, random values) is written over
with fixed words before it becomes a picture, so that a second run changes a file only where crane,
pip or the browser's fonts have changed. CI does not run this: it needs a browser and PyPI.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from devtasks.pictures import status_page, terminal
from devtasks.pictures.scene import scene

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
LARGEST = 150_000  # bytes; whoever clones the repository gets every version


def main() -> int:
    """Make all pictures, or say which are too large."""
    options = argparse.ArgumentParser(prog="dev.py pictures", description=__doc__)
    options.add_argument("--out", type=Path, default=PICTURES, help="docs/pictures if left out")
    out: Path = options.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="crane-pictures-") as name, scene(Path(name)) as desk:
        made = [terminal.first_minutes(desk, out), *status_page.shapes(desk, out)]
    for picture in made:
        print(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")
    large = [picture.name for picture in made if picture.stat().st_size > LARGEST]
    if large:
        print(f"larger than {LARGEST} bytes: {', '.join(large)}")
    return 1 if large else 0


if __name__ == "__main__":
    sys.exit(main())
