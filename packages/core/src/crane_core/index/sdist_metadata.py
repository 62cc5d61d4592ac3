"""PKG-INFO out of an sdist (PEP 625, PEP 643), read within bounds and without unpacking it."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from typing import IO, TYPE_CHECKING

from crane_core.index.wheel_metadata import MAX_FILES, MAX_METADATA, NoMetadata, identity_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packaging.version import Version

SDIST_SUFFIXES = (".tar.gz", ".zip")
# What may be unpacked of a file of some size: source code packs ten times, seldom fifty times.
MOST_RATIO = 200
LEAST_ALLOWANCE = 64 << 20
_BROKEN = (OSError, EOFError, ValueError, zlib.error, tarfile.TarError, zipfile.BadZipFile,
           NotImplementedError, RuntimeError, KeyError)  # fmt: skip


def metadata_of_sdist(path: Path, filename: str, identity: tuple[str, Version]) -> bytes:
    """Return PKG-INFO of an sdist on disk; its name and version are `identity`.

    A tar is read to its end, so that a broken one is found out. Raises `NoMetadata`.
    """
    try:
        found = list(_in_zip(path) if filename.endswith(".zip") else _in_tar(path))
    except _BROKEN as error:
        raise NoMetadata(f"no archive that can be read ({type(error).__name__})") from None
    if len(found) != 1:
        raise NoMetadata("the sdist has no PKG-INFO, or has it twice")
    if identity_of(found[0]) != identity:
        raise NoMetadata("PKG-INFO is of another name or version")
    return found[0]


def _in_tar(path: Path) -> Iterator[bytes]:
    limit = max(LEAST_ALLOWANCE, path.stat().st_size * MOST_RATIO)
    with gzip.open(path, "rb") as packed:
        bounded = _Bounded(packed, limit)
        with tarfile.open(fileobj=bounded, mode="r|") as archive:  # type: ignore[call-overload]
            for number, member in enumerate(archive):
                if number > MAX_FILES:
                    raise NoMetadata("the sdist has too many files")
                _require_safe(member.name)
                if _is_pkg_info(member.name) and member.isreg():
                    file = archive.extractfile(member)
                    assert file is not None
                    yield _read(file)
        while bounded.read(1 << 20):
            pass  # to the end, for the checksum that stands there


def _in_zip(path: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if len(names) > MAX_FILES:
            raise NoMetadata("the sdist has too many files")
        for name in names:
            _require_safe(name)
            if _is_pkg_info(name):
                with archive.open(name) as file:
                    yield _read(file)


def _read(file: IO[bytes]) -> bytes:
    content = file.read(MAX_METADATA + 1)
    if len(content) > MAX_METADATA:
        raise NoMetadata("PKG-INFO is too large")
    return content


def _is_pkg_info(name: str) -> bool:
    # The one in the top folder; others, as of an `.egg-info`, lie deeper.
    return name.removeprefix("./").split("/")[1:] == ["PKG-INFO"]


def _require_safe(name: str) -> None:
    if name.startswith("/") or "\\" in name or ".." in name.split("/"):
        raise NoMetadata("the sdist has paths that lead out of it")


class _Bounded:
    """Reads no more than so much of a stream."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, limit: int) -> None:
        self._file, self._left = file, limit

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, 1 << 20) if size >= 0 else 1 << 20)
        self._left -= len(data)
        if self._left < 0:
            raise NoMetadata("the sdist unpacks to more than a source distribution does")
        return data
