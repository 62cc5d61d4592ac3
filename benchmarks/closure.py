"""A closure of more than a hundred real packages, downloaded once, served by the measured index.

`closure.in` names what an application asks for, `closure.txt` pins everything that follows from
it, for all systems and Python versions (`uv pip compile --universal closure.in -o closure.txt`).
Each page has one version of its project, in the wheel for this machine, or the one wheel there is
where only other systems need it, since Poetry locks for all; and `OLDER` entries of older versions,
so that pages have the size of real ones. Large pages have as many as PyPI's had, up to the pinned
version, on 2026-11-29 (`closure_files.txt`).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import BytesParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

from benchmarks.environments import environment
from benchmarks.site import Distribution, Site, older_versions
from benchmarks.tools import CACHE

HERE = Path(__file__).parent
WANTED, PINS = HERE / "closure.in", HERE / "closure.txt"
COUNTS = HERE / "closure_files.txt"
PIP = ("pip==26.3",)
OLDER = 60
# Systems as markers and pip's --platform know them; this machine's own needs no --platform.
ELSEWHERE = {
    "emscripten": {"sys_platform": "emscripten", "os_name": "posix"},
    "macosx_11_0_arm64": {"sys_platform": "darwin", "os_name": "posix"},
    "win_amd64": {"sys_platform": "win32", "os_name": "nt"},
}


def closure_site(folder: Path) -> Site:
    """Write the closure's pages and link its wheels into a folder."""
    site, counts = Site(folder), _files_on_pypi()
    for wheel in sorted(_wheels().glob("*.whl")):
        os.link(wheel, site.file(wheel.name))
        metadata = _metadata(wheel)
        site.file(f"{wheel.name}.metadata").write_bytes(metadata)
        name, version, _, _ = parse_wheel_filename(wheel.name)
        with wheel.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        distribution = Distribution(
            wheel.name,
            str(version),
            digest,
            wheel.stat().st_size,
            BytesParser().parsebytes(metadata, headersonly=True)["Requires-Python"],
            hashlib.sha256(metadata).hexdigest(),
        )
        site.add(name, [*older_versions(name, OLDER), distribution])
        site.write("large", name, [*older_versions(name, counts[name] - 1), distribution])
    site.finish()
    return site


def _files_on_pypi() -> dict[str, int]:
    pairs = (line.split() for line in COUNTS.read_text().splitlines())
    return {name: int(count) for name, count in pairs}


def _metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        return archive.read(min(names, key=len))


def _wheels() -> Path:
    """Return the folder with the wheels, after downloading them if the pins have changed."""
    folder = CACHE / "closure"
    stamp, wanted = folder / "pins.txt", f"{sys.version}\n{PINS.read_text()}"
    if stamp.exists() and stamp.read_text() == wanted:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    here, elsewhere = [], dict[str, list[str]]()
    for pin in _pins():
        if pin.marker is None or pin.marker.evaluate():
            here.append(f"{pin.name}{pin.specifier}")
        elif system := next(_systems(pin), None):
            elsewhere.setdefault(system, []).append(f"{pin.name}{pin.specifier}")
    _download(folder, here)
    for system, pins in elsewhere.items():
        _download(folder, pins, "--platform", system)
    stamp.write_text(wanted)
    return folder


def _pins() -> Iterator[Requirement]:
    for line in PINS.read_text().splitlines():
        if line and not line.startswith("#"):
            yield Requirement(line)


def _systems(pin: Requirement) -> Iterator[str]:
    """Yield the other systems that need a pinned package with this Python."""
    for system, variables in ELSEWHERE.items():
        if pin.marker and pin.marker.evaluate(variables):
            yield system


def _download(folder: Path, pins: list[str], *options: str) -> None:
    python = environment("pip", *PIP) / "python"
    command = [str(python), "-m", "pip", "download", "--quiet", "--no-deps"]
    more = ["--only-binary", ":all:", "--dest", str(folder), *options, *pins]
    subprocess.run([*command, *more], check=True)
