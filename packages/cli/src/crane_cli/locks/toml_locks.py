"""The lock files of Poetry, PDM and uv."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from crane_cli.locks.model import PYPI, Wanted, WantedFile, split_hash, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

# Of Poetry's sources those that are no index; without a type it is PyPI.
_POETRY_INDEXES = {"legacy", "pypi"}


def read_poetry(document: Mapping[str, Any], where: str) -> list[Wanted]:
    """Read poetry.lock (lock-version 2). Raises `UsageError`."""
    return [_of_poetry(package, where) for package in document.get("package", [])]


def _of_poetry(package: Mapping[str, Any], where: str) -> Wanted:
    source = package.get("source", {})
    kind = source.get("type", "legacy")
    return Wanted(
        project=canonicalize_name(text_of(package, "name", where)),
        version=text_of(package, "version", where),
        files=tuple(_named(file, where) for file in package.get("files", [])),
        sources=(source.get("url", PYPI),),
        elsewhere="" if kind in _POETRY_INDEXES else f"from a {kind}",
    )


def read_pdm(document: Mapping[str, Any], where: str) -> list[Wanted]:
    """Read pdm.lock (lock_version 4), with URLs of files or without. Raises `UsageError`."""
    found: dict[tuple[str, str], Wanted] = {}
    for package in document.get("package", []):
        wanted = _of_pdm(package, where)
        # The same project stands there once for each set of extras.
        found.setdefault((wanted.project, wanted.version), wanted)
    return list(found.values())


def _of_pdm(package: Mapping[str, Any], where: str) -> Wanted:
    files = tuple(_named(file, where) for file in package.get("files", []))
    other = next((kind for kind in ("git", "hg", "svn", "bzr", "path") if kind in package), "")
    if not other and "url" in package:
        # A requirement with a URL of its own.
        url = text_of(package, "url", where)
        files = tuple(WantedFile(f.name, url, f.hashes) for f in files[:1]) or (
            WantedFile(_last(url), url),
        )
    return Wanted(
        project=canonicalize_name(text_of(package, "name", where)),
        version=text_of(package, "version", where),
        files=files,
        elsewhere=f"from a {other}" if other else "",
        asks_page=not any(file.url for file in files),
    )


def _named(file: Mapping[str, Any], where: str) -> WantedFile:
    url = file.get("url")
    name = file.get("file") or (_last(url) if url else "")
    hashes = dict([split_hash(file["hash"], where)]) if file.get("hash") else {}
    return WantedFile(name or text_of(file, "file", where), url, hashes)


def read_uv(document: Mapping[str, Any], where: str) -> list[Wanted]:
    """Read uv.lock (version 1). Raises `UsageError`."""
    return [_of_uv(package, where) for package in document.get("package", [])]


def _of_uv(package: Mapping[str, Any], where: str) -> Wanted:
    source = package.get("source", {})
    registry = source.get("registry", "")
    kind = next(iter(source), "nowhere")
    files = [package["sdist"]] if "sdist" in package else []
    files += package.get("wheels", [])
    elsewhere = ""
    if kind not in {"registry", "url"} or (registry and "://" not in registry):
        elsewhere = f"from a {kind}" if kind != "registry" else "from a folder"
    return Wanted(
        project=canonicalize_name(text_of(package, "name", where)),
        version=str(package.get("version", "")),
        files=tuple(_of_uv_file(file, source.get("url"), where) for file in files),
        sources=(registry,) if registry else (),
        elsewhere=elsewhere,
        asks_page=False,
    )


def _of_uv_file(file: Mapping[str, Any], direct: str | None, where: str) -> WantedFile:
    url = file.get("url") or direct
    hashes = dict([split_hash(file["hash"], where)]) if file.get("hash") else {}
    name = file.get("filename") or _last(url or file.get("path", ""))
    return WantedFile(name, url, hashes)


def _last(url: str) -> str:
    from urllib.parse import unquote, urlsplit

    return unquote(urlsplit(url).path.rpartition("/")[2])
