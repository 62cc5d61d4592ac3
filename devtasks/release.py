"""Make a release: `python3 dev.py release VERSION`.

It gives all distributions one version, dates what is unreleased in CHANGELOG.md, commits that,
builds all wheels and sdists of that commit in dist/ as `dev.py build` does, and checks them.
Nothing leaves this machine: what to type for that is printed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import uv
from packaging.version import InvalidVersion, Version

from devtasks import versioning
from devtasks.build import PACKAGES

ROOT = Path(__file__).resolve().parents[1]
CHANGES = ROOT / "CHANGELOG.md"


def main() -> int:
    """Make the release that the command line names; nothing is changed if it cannot be."""
    parser = argparse.ArgumentParser(prog="dev.py release", description=__doc__)
    parser.add_argument("version", metavar="VERSION", help="as 1.2.3, or 1.2.3rc1")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="dist/ if left out")
    args = parser.parse_args()
    version = _checked(args.version)
    files = _changed(version)
    _clean_tree(version)
    for path, text in files:
        path.write_text(text, encoding="utf-8", newline="\n")
    try:
        # What is locked is what these files ask for; it asks no index.
        _run(
            uv.find_uv_bin(), "lock", "--check", "--offline", "--quiet", "--python", sys.executable
        )
    except SystemExit:
        _run("git", "checkout", "--quiet", "--", ".")
        raise
    _run("git", "commit", "--quiet", "--all", "--message", f"Release {version}")
    _run(sys.executable, "-m", "devtasks.build", "--out", str(args.out))
    made = _distributions(args.out, version)
    _run(sys.executable, "-m", "twine", "check", "--strict", *map(str, made))
    print(_next(version, args.out, [file.name for file in made]))
    return 0


def _checked(text: str) -> Version:
    """Return a version that may come next."""
    try:
        version = Version(text)
    except InvalidVersion:
        _refuse(f"{text} is no version (PEP 440)")
    if str(version) != text or version.local or len(version.release) != 3:
        _refuse(f"{text} is not written as 1.2.3 or 1.2.3rc1")
    if version < (now := versioning.current(ROOT)):
        _refuse(f"{text} is before {now}")
    return version


def _changed(version: Version) -> list[tuple[Path, str]]:
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    try:
        news = versioning.dated(CHANGES.read_text(encoding="utf-8"), version, today)
        return [*versioning.rewritten(ROOT, version), (CHANGES, news)]
    except ValueError as error:
        _refuse(str(error))


def _clean_tree(version: Version) -> None:
    if _output("git", "status", "--porcelain"):
        _refuse("the tree has changes that are not committed: git status")
    if _output("git", "tag", "--list", f"v{version}"):
        _refuse(f"there is a tag v{version} already")


def _distributions(out: Path, version: Version) -> list[Path]:
    """Return what was built; it is all there and has that version."""
    made = sorted([*out.glob(f"*-{version}-*.whl"), *out.glob(f"*-{version}.tar.gz")])
    if len(made) != 2 * len(PACKAGES):
        _refuse(f"{out} has {len(made)} files of {version}, not {2 * len(PACKAGES)}")
    return made


def _next(version: Version, out: Path, names: list[str]) -> str:
    folder = out.relative_to(ROOT) if out.is_relative_to(ROOT) else out
    listed = "\n".join(f"  {name}" for name in names)
    return f"""
{version} is built, and nothing of it has left this machine:
{listed}

To take it back:   git reset --hard HEAD~1
To publish it:     git tag --annotate --message 'crane {version}' v{version}
                   git push origin HEAD v{version}
                   {" ".join(("twine", "upload", f"{folder}/*"))}"""


def _run(*command: str) -> None:
    if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit(code)


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def _refuse(reason: str) -> NoReturn:
    print(f"not released: {reason}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    sys.exit(main())
