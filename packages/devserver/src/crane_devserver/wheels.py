"""Making small, real and reproducible distributions: wheels and source archives.

Formats: the binary distribution format (PEP 427), core metadata, source distributions
(PEP 643, PEP 625). The same arguments give the same bytes on every machine.
"""

from __future__ import annotations

import base64
import hashlib
import random
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)
_TAG = "py3-none-any"
_EXTRA = re.compile(r"""extra *== *["']([^"']+)["']""")

Files = Mapping[str, str | bytes]
"""Path in the distribution → content."""


@dataclass(frozen=True)
class Project:
    """What a distribution says about itself."""

    name: str
    version: str
    requires: tuple[str, ...] = ()
    requires_python: str = ">=3.8"
    scripts: tuple[tuple[str, str], ...] = ()

    @property
    def file_name(self) -> str:
        """The name as it stands in file names (PEP 625)."""
        return re.sub(r"[-_.]+", "_", self.name).lower()

    @property
    def stem(self) -> str:
        """Name and version as they stand in file names."""
        return f"{self.file_name}-{self.version}"

    @property
    def metadata(self) -> str:
        """The core metadata, for METADATA and PKG-INFO."""
        lines = ["Metadata-Version: 2.2", f"Name: {self.name}", f"Version: {self.version}"]
        lines += ["Summary: Made for tests", f"Requires-Python: {self.requires_python}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in self.requires]
        # pip knows only those extras that are listed.
        extras = dict.fromkeys(name for r in self.requires for name in _EXTRA.findall(r))
        lines += [f"Provides-Extra: {name}" for name in extras]
        return "\n".join(lines) + "\n"


def normalized(name: str) -> str:
    """Return a project's name as it stands in URLs (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    files: Files | None = None,
    size: int = 0,
    requires_python: str = ">=3.8",
    scripts: Mapping[str, str] | None = None,
) -> Path:
    """Write a pure Python wheel and return its path.

    ``files`` are the files to install; without them there is one package that knows its
    version. ``size`` adds incompressible padding of that many bytes. ``scripts`` are
    console scripts, name → ``module:function``.
    """
    project = Project(name, version, tuple(requires), requires_python, _pairs(scripts))
    contents = encoded(default_files(project) if files is None else files)
    if size:
        contents[f"{project.file_name}/padding.bin"] = _padding(project.stem, size)
    contents |= _dist_info(project)
    record = f"{project.stem}.dist-info/RECORD"
    contents[record] = _record(contents, record)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{project.stem}-{_TAG}.whl"
    _write_zip(path, contents)
    return path


def wheel_metadata(wheel: Path) -> bytes:
    """Return a wheel's METADATA, as a ``.metadata`` file holds it (PEP 658)."""
    with zipfile.ZipFile(wheel) as archive:
        found = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return archive.read(found[0])


def default_files(project: Project) -> Files:
    """Return the one package a distribution has where nothing else is asked for."""
    return {f"{project.file_name}/__init__.py": f'__version__ = "{project.version}"\n'}


def _dist_info(project: Project) -> dict[str, bytes]:
    wheel = f"Wheel-Version: 1.0\nGenerator: crane-devserver\nRoot-Is-Purelib: true\nTag: {_TAG}\n"
    info = {"METADATA": project.metadata, "WHEEL": wheel}
    if project.scripts:
        lines = "".join(f"{name} = {target}\n" for name, target in project.scripts)
        info["entry_points.txt"] = f"[console_scripts]\n{lines}"
    return {f"{project.stem}.dist-info/{name}": text.encode() for name, text in info.items()}


def _record(contents: Mapping[str, bytes], own_name: str) -> bytes:
    lines = [f"{name},{_hash(data)},{len(data)}" for name, data in contents.items()]
    return ("\n".join([*lines, f"{own_name},,"]) + "\n").encode()


def _hash(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest())
    return "sha256=" + digest.decode().rstrip("=")


def _padding(seed: str, size: int) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311  # only has to resist compression


def encoded(files: Files) -> dict[str, bytes]:
    """Return files in the order of their names, as bytes."""
    return {n: d.encode() if isinstance(d, str) else d for n, d in sorted(files.items())}


def _pairs(scripts: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((scripts or {}).items()))


def _write_zip(path: Path, contents: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o100644 << 16
            # The same on every system, or the bytes would differ.
            info.create_system = 3
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
