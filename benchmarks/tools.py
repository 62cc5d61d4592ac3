"""Programs that Python's package registry does not have: nginx and wrk."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "bench"
MEMORY = Path("/dev/shm")
ROOM = 1 << 30  # bytes
DEBIAN = ("nginx", "wrk", "libluajit-5.1-2")
# nginx is where ordinary users do not look for programs.
MORE_PATH = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin")


class Unavailable(Exception):
    """Something that a benchmark needs cannot be had on this machine."""


@dataclass(frozen=True)
class Program:
    """Where a program is, and the variables that it needs."""

    path: str
    environ: Mapping[str, str]

    def version(self) -> str:
        """Return the first line of what it says of itself."""
        done = subprocess.run(
            [self.path, "-v"],
            check=False,
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
        )
        return (done.stdout + done.stderr).splitlines()[0].strip()


def program(name: str) -> Program:
    """Return a program: the one on PATH, else Debian's, unpacked below `.cache`.

    Unpacked, not installed: a benchmark changes nothing on the system and starts no service.
    Raises `Unavailable`.
    """
    path = os.pathsep.join([os.environ.get("PATH", ""), *MORE_PATH])
    if found := shutil.which(name, path=path):
        return Program(found, {})
    root = CACHE / "debian"
    if not (root / "usr").is_dir():
        _unpack(root, name)
    found = shutil.which(name, path=f"{root}/usr/sbin:{root}/usr/bin")
    if found is None:
        raise Unavailable(f"no {name} in Debian's package of that name")
    libraries = sorted({str(file.parent) for file in root.glob("usr/lib/**/*.so*")})
    return Program(found, {"LD_LIBRARY_PATH": os.pathsep.join(libraries)})


def _unpack(root: Path, name: str) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Unavailable(
            f"{name} is not on PATH, and this is no Debian to take it from: install nginx and wrk"
        )
    packages = root.with_name("debian-packages")
    packages.mkdir(parents=True, exist_ok=True)
    if _download(packages).returncode and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "--quiet"], check=False, capture_output=True)
    done = _download(packages)
    if done.returncode:
        raise Unavailable(f"{name} is not on PATH, and apt-get says: {done.stderr.strip()}")
    for package in packages.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, root], check=True)


def _download(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["apt-get", "download", "--quiet", *DEBIAN],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
    )


def where_tools_write() -> str:
    """Return a line on that for the results."""
    return f"tools' caches {'in memory' if in_memory() else 'on the disk'}"


def in_memory() -> str | None:
    """Return a folder in memory for what tools write, None where there is none with room.

    A tool's fresh cache is a thousand new files, each of which took a disk of ours 0.05 to 0.3 ms,
    whatever stood before the tool.
    """
    has_room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM
    return str(MEMORY) if has_room else None
