"""Make all distributions, or the named ones: whoever builds a commit gets the same bytes.

What could tell two builds apart is the same for both: files have one time and one mode, since each
package is built from a copy; the time of the build is that of the last commit (SOURCE_DATE_EPOCH,
reproducible-builds.org/specs/source-date-epoch); the build backends are those of uv.lock.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import uv

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("core", "cli", "devserver", "poetry-plugin", "pdm-plugin", "hatch-plugin")
EPOCH = "SOURCE_DATE_EPOCH"


def main() -> int:
    """Build what the command line names, and print what was made with its SHA-256."""
    parser = argparse.ArgumentParser(prog="dev.py build", description=__doc__)
    parser.add_argument("packages", metavar="PACKAGE", nargs="*", help=f"of {', '.join(PACKAGES)}")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="dist/ if left out")
    parser.add_argument("--source", type=Path, default=ROOT / "packages", help="packages/")
    args = parser.parse_args()
    if unknown := [name for name in args.packages if name not in PACKAGES]:
        parser.error(f"no such package: {', '.join(unknown)}; there are {', '.join(PACKAGES)}")
    epoch = int(os.environ.get(EPOCH) or _output("git", "log", "-1", "--format=%ct", cwd=ROOT))
    with tempfile.TemporaryDirectory(prefix="crane-build-") as folder:
        made = Path(folder, "made")
        constraints = Path(folder, "backends.txt")
        constraints.write_text(_backends(), encoding="utf-8")
        for name in args.packages or PACKAGES:
            copy = Path(folder, name)
            _copy(args.source / name, copy, epoch)
            _build(copy, made, constraints, epoch)
        _replace(args.out, sorted([*made.glob("*.whl"), *made.glob("*.tar.gz")]))
    return 0


def _backends() -> str:
    """Return the build backends of uv.lock and what they need, with hashes."""
    export = ("export", "--frozen", "--only-group", "build", "--no-emit-workspace", "--no-header")
    return _output(uv.find_uv_bin(), *export, cwd=ROOT)


def _copy(package: Path, copy: Path, epoch: int) -> None:
    """Copy what git knows of a package, and what is new and not ignored."""
    names = _output("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=package)
    for name in sorted({name for name in names.split("\0") if name}):
        if not (package / name).is_file():
            continue  # removed, and not yet committed
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(package / name, target)
        target.chmod(0o644)  # none is a program, and pdm-backend takes the mode as it is
        os.utime(target, (epoch, epoch))


def _build(package: Path, out: Path, constraints: Path, epoch: int) -> None:
    """Make an sdist, and of that the wheel, by the package's own backend."""
    build = ("build", "--quiet", "--python", sys.executable, "--out-dir", out)
    backends = ("--build-constraints", constraints, "--require-hashes")
    done = subprocess.run(
        [uv.find_uv_bin(), *build, *backends, package], check=False,
        env={**os.environ, EPOCH: str(epoch)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, encoding="utf-8",
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{package.name} cannot be built:\n{done.stdout}")
    for sdist in out.glob("*.tar.gz"):
        with sdist.open("r+b") as file:  # MTIME of RFC 1952 §2.3.1: pdm-backend leaves it as it is
            file.seek(4)
            file.write(struct.pack("<L", epoch))


def _replace(out: Path, files: list[Path]) -> None:
    """Put files into a folder, in the place of older versions of theirs."""
    out.mkdir(parents=True, exist_ok=True)
    projects = {file.name.partition("-")[0] for file in files}
    for old in [*out.glob("*.whl"), *out.glob("*.tar.gz")]:
        if old.name.partition("-")[0] in projects:
            old.unlink()
    for file in files:
        shutil.move(file, out / file.name)
        digest = hashlib.sha256((out / file.name).read_bytes()).hexdigest()
        print(f"{digest}  {file.name}", flush=True)


def _output(*command: str, cwd: Path) -> str:
    # A hook of git's has variables that say which repository all git commands mean.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        command, cwd=cwd, env=environ, stdout=subprocess.PIPE, text=True, encoding="utf-8",
        check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(command[:2])} failed")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
