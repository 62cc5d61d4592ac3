"""Ask PyPI's advisory database about every package of uv.lock.

Exit code 1: a package has a known vulnerability. Exit code 2: it could not be asked about all.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import uv

ROOT = Path(__file__).resolve().parents[1]
VULNERABLE, NOT_AUDITED = 1, 2
# Without pip: the export is complete, and has a hash for each file. A service that is not there
# must not take minutes.
OPTIONS = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--timeout", "15")


def main() -> int:
    """Audit, and say in a line what came of it."""
    with tempfile.TemporaryDirectory(prefix="crane-audit-") as folder:
        locked = Path(folder, "locked.txt")
        export = ("export", "--frozen", "--all-groups", "--no-emit-workspace", "--quiet")
        _run(uv.find_uv_bin(), *export, "--output-file", str(locked)).check_returncode()
        audit = ("run", "--isolated", "--frozen", "--quiet", "--only-group", "audit", "pip-audit")
        asked = (*OPTIONS, "--format", "json", "--requirement", str(locked), *sys.argv[1:])
        done = _run(uv.find_uv_bin(), *audit, *asked)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return _not_audited(_last(done.stderr) or f"pip-audit ended with {done.returncode}")
    return _told(packages)


def _told(packages: list[dict[str, Any]]) -> int:
    """Print what was found. What a service does not know is not taken for good."""
    vulnerable = [package for package in packages if package.get("vulns")]
    for package in vulnerable:
        for found in package["vulns"]:
            fixed = ", ".join(found.get("fix_versions", ())) or "no version yet"
            print(f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}")
    if vulnerable:
        return VULNERABLE
    if skipped := [package for package in packages if package.get("skip_reason")]:
        return _not_audited(
            f"{len(skipped)} of {len(packages)} packages, as {skipped[0]['name']}: "
            f"{skipped[0]['skip_reason']}"
        )
    print(f"{len(packages)} packages, no known vulnerability")
    return 0


def _not_audited(reason: str) -> int:
    print(f"NOT AUDITED: {reason}", file=sys.stderr)
    return NOT_AUDITED


def _last(text: str) -> str:
    """Return what says the most of a program's complaints: the first error, else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marks = ("ERROR", "error:", "\u00d7")  # pip-audit's, and uv's
    errors = [line.rpartition("pip_audit._cli:")[2] for line in lines if line.startswith(marks)]
    return next(iter(errors), lines[-1] if lines else "")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
