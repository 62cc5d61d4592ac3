"""Write what crane is made of, in CycloneDX 1.5: the same text for the same lock file.

It is about crane-cli, crane-core and crane-devserver with all that they need, as uv.lock has it.
The plugins add crane-core to a tool that is there already, whose own parts are not ours to name.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import uv

ROOT = Path(__file__).resolve().parents[1]
EXPORT = ("export", "--frozen", "--no-default-groups", "--format", "cyclonedx1.5", "--quiet",
          "--preview-features", "sbom-export")  # fmt: skip


def main() -> int:
    """Write it to a file, or to standard output."""
    parser = argparse.ArgumentParser(prog="dev.py sbom", description=__doc__)
    parser.add_argument("--output", type=Path, metavar="FILE", help="standard output if left out")
    args = parser.parse_args()
    text = json.dumps(steady(exported()), indent=2) + "\n"
    if args.output is None:
        print(text, end="")
    else:
        args.output.write_text(text, encoding="utf-8")
    return 0


def exported() -> dict[str, Any]:
    """Return what uv makes of the lock file."""
    done = subprocess.run(
        [uv.find_uv_bin(), *EXPORT], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def steady(document: dict[str, Any]) -> dict[str, Any]:
    """Return it without the time, and with a serial number that follows from its content."""
    metadata = {name: value for name, value in document["metadata"].items() if name != "timestamp"}
    lasting = {**document, "metadata": metadata, "serialNumber": ""}
    # CycloneDX 1.5 wants RFC 4122; 5 is the kind that is made from a name.
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(lasting, sort_keys=True))
    return {**lasting, "serialNumber": f"urn:uuid:{number}"}


if __name__ == "__main__":
    sys.exit(main())
