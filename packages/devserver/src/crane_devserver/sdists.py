"""Making source distributions that build anywhere, without network or build tools."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import TYPE_CHECKING

from .wheels import Files, Project, default_files, encoded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_PYPROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "{name}"
version = "{version}"
requires-python = "{requires_python}"
dependencies = [{requires}]
"""

# An in-tree build backend (PEP 517): what the archive holds is all it needs.
_BACKEND = """import base64, hashlib, pathlib, zipfile

STEM = "{stem}"
HERE = pathlib.Path(__file__).parent


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    contents = {{
        path.relative_to(HERE / "src").as_posix(): path.read_bytes()
        for path in sorted((HERE / "src").rglob("*"))
        if path.is_file()
    }}
    info = STEM + ".dist-info/"
    contents[info + "METADATA"] = (HERE / "PKG-INFO").read_bytes()
    contents[info + "WHEEL"] = (
        b"Wheel-Version: 1.0\\nGenerator: backend\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    )
    lines = []
    for name, data in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        lines.append(f"{{name}},sha256={{digest}},{{len(data)}}")
    contents[info + "RECORD"] = "\\n".join([*lines, info + "RECORD,,", ""]).encode()
    wheel = STEM + "-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / wheel, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return wheel
"""


def make_sdist(
    folder: Path,
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    files: Files | None = None,
    requires_python: str = ">=3.8",
) -> Path:
    """Write a source distribution and return its path. ``files`` are what it installs."""
    project = Project(name, version, tuple(requires), requires_python)
    sources = encoded(default_files(project) if files is None else files)
    contents = _frame(project) | {f"src/{path}": data for path, data in sources.items()}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{project.stem}.tar.gz"
    path.write_bytes(_compressed(_tar(project.stem, contents)))
    return path


def _frame(project: Project) -> dict[str, bytes]:
    # A JSON string is a TOML string too.
    quoted = ", ".join(json.dumps(requirement) for requirement in project.requires)
    pyproject = _PYPROJECT.format(
        name=project.name,
        version=project.version,
        requires_python=project.requires_python,
        requires=quoted,
    )
    return {
        "PKG-INFO": project.metadata.encode(),
        "pyproject.toml": pyproject.encode(),
        "backend.py": _BACKEND.format(stem=project.stem).encode(),
    }


def _tar(stem: str, contents: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in contents.items():
            info = tarfile.TarInfo(f"{stem}/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _compressed(data: bytes) -> bytes:
    # No time stamp in the header, or no two archives were the same.
    return gzip.compress(data, mtime=0)
