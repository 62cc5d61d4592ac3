"""pylock.toml (PEP 751), as pip, uv, PDM and Hatch write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.pylock import PackageArchive, Pylock, PylockValidationError

from crane_cli.locks.model import Wanted, WantedFile, broken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.pylock import Package, PackageSdist, PackageWheel


def read_pylock(document: Mapping[str, Any], where: str) -> list[Wanted]:
    """Read it. Raises `UsageError`."""
    try:
        lock = Pylock.from_dict(document)
    except PylockValidationError as error:
        raise broken(where, str(error)) from None
    return [_of(package) for package in lock.packages]


def _of(package: Package) -> Wanted:
    files: list[PackageSdist | PackageWheel] = [package.sdist] if package.sdist else []
    files += package.wheels or ()
    other = "vcs" if package.vcs else "folder" if package.directory else ""
    found = tuple(WantedFile(file.filename, file.url, dict(file.hashes)) for file in files)
    if package.archive:
        found = (_archive(package.archive),)
    if found and not any(file.url for file in found) and not package.index:
        other = "folder"  # they lie beside the lock file
    return Wanted(
        project=package.name,
        version=str(package.version or ""),
        files=found,
        sources=(package.index,) if package.index else (),
        elsewhere=f"from a {other}" if other else "",
        asks_page=not any(file.url for file in found),
    )


def _archive(archive: PackageArchive) -> WantedFile:
    place = archive.url or archive.path or ""
    return WantedFile(place.rpartition("/")[2], archive.url, dict(archive.hashes))
