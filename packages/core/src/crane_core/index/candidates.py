"""Which file of a project page a resolver will look at first, and what it asks for next."""

from __future__ import annotations

import re
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, parse_tag
from packaging.utils import canonicalize_name
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.requirements import Requirement

    from crane_core.index.environment import ToolEnvironment
    from crane_core.index.page import ProjectPage
    from crane_core.index.wheel_metadata import Dependencies

SDIST_SUFFIXES = (".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz")
# A compressed set stands for the product of its parts; more of it than this is no wheel's.
MAX_TAGS = 256
ANYWHERE = Tag("py3", "none", "any")
Versions = dict[Version, list[dict[str, Any]]]


def best_candidate(
    page: ProjectPage, environment: ToolEnvironment | None, specifier: SpecifierSet
) -> dict[str, Any] | None:
    """Return the wheel of the highest version that can be installed and that `specifier` takes.

    Left out are versions that cannot be read, yanked files unless one version is pinned, files
    for another Python, and pre-releases unless the specifier names one or nothing else is left.
    Without an environment, a wheel for any machine comes first. None means that there is no such
    version, or that it has only source distributions.
    """
    return best_of(versions_of(page), environment, specifier)


def best_of(
    versions: Versions, environment: ToolEnvironment | None, specifier: SpecifierSet
) -> dict[str, Any] | None:
    """Return what `best_candidate` does, of a page whose versions are known."""
    pinned = any(_is_pin(s.operator, s.version) for s in specifier)
    for version in _in_order(versions, specifier):
        if not specifier.contains(version, prereleases=True):
            continue
        files = [f for f in versions[version] if _is_usable(f, environment, pinned=pinned)]
        wheel = _best_wheel(files, environment)
        if wheel is not None or any(_is_sdist(file) for file in files):
            return wheel
    return None


def requirements_for(
    dependencies: Dependencies, environment: ToolEnvironment | None, extras: frozenset[str]
) -> list[Requirement]:
    """Return the requirements that hold with these extras; those with a URL are left out.

    Without an environment, only those hold that depend on no more than one of the extras.
    """
    values = None if environment is None else environment.markers
    return [
        requirement
        for requirement in dependencies.that_may_hold(extras)
        if requirement.url is None and _holds(requirement, values, extras)
    ]


def _holds(requirement: Requirement, values: dict[str, str] | None, extras: frozenset[str]) -> bool:
    if requirement.marker is None:
        return True
    if values is None:
        marker = str(requirement.marker)
        return any(marker == f'extra == "{canonicalize_name(extra)}"' for extra in extras)
    try:
        return any(requirement.marker.evaluate({**values, "extra": e}) for e in ("", *extras))
    except ValueError:
        return False  # it compares what cannot be compared


def versions_of(page: ProjectPage) -> Versions:
    """Return the files of a page by version, as far as their names can be read."""
    project = canonicalize_name(str(page.document.get("name", "")))
    # By their texts first: each is parsed once, however many files a version has.
    texts: dict[str, list[dict[str, Any]]] = {}
    for file in page.files:
        name, version = name_and_version(file["filename"])
        if version and (not project or _normalised(name) == project):
            texts.setdefault(version, []).append(file)
    versions: Versions = {}
    for text, files in texts.items():
        try:
            versions.setdefault(_version(text), []).extend(files)
        except ValueError:
            continue
    return versions


@lru_cache(maxsize=8192)
def _version(text: str) -> Version:
    return Version(text)


@lru_cache(maxsize=1024)
def _normalised(name: str) -> str:
    return canonicalize_name(name)


def name_and_version(filename: str) -> tuple[str, str]:
    """Return project and version as a distribution's name spells them, empty if it is none."""
    if filename.endswith(".whl"):
        parts = filename.split("-")
        return (parts[0], parts[1]) if len(parts) in {5, 6} else ("", "")
    for suffix in SDIST_SUFFIXES:
        if filename.endswith(suffix):
            name, _, version = filename.removesuffix(suffix).rpartition("-")
            return name, version
    return "", ""


def _in_order(versions: Iterable[Version], specifier: SpecifierSet) -> Iterator[Version]:
    ordered = sorted(versions, reverse=True)
    if specifier.prereleases:
        yield from ordered
        return
    yield from (version for version in ordered if not version.is_prerelease)
    yield from (version for version in ordered if version.is_prerelease)


def _is_pin(operator: str, version: str) -> bool:
    return operator == "===" or (operator == "==" and not version.endswith(".*"))


def _is_usable(file: dict[str, Any], environment: ToolEnvironment | None, *, pinned: bool) -> bool:
    if file.get("yanked") and not pinned:
        return False
    requires = file.get("requires-python")
    if environment is None or not isinstance(requires, str):
        return True
    return _takes_python(requires, environment.python)


@lru_cache(maxsize=1024)
def _takes_python(requires: str, python: str) -> bool:
    try:
        return SpecifierSet(requires).contains(python, prereleases=True)
    except InvalidSpecifier:
        return True  # as pip has it: what cannot be read forbids nothing


def _is_sdist(file: dict[str, Any]) -> bool:
    return not file["filename"].endswith(".whl")


def _best_wheel(
    files: list[dict[str, Any]], environment: ToolEnvironment | None
) -> dict[str, Any] | None:
    ranked = []
    for place, file in enumerate(files):
        parts = file["filename"].removesuffix(".whl").split("-")
        rank = None if _is_sdist(file) else _rank("-".join(parts[-3:]), environment)
        if rank is not None:
            # Without a build number this is a Python tag, and none of those begins with a digit.
            ranked.append((rank, -_build_number(parts[2]), place))
    return files[min(ranked)[-1]] if ranked else None


def _rank(text: str, environment: ToolEnvironment | None) -> int | None:
    if prod(part.count(".") + 1 for part in text.split("-")) > MAX_TAGS:
        return None
    try:
        tags = parse_tag(text)
    except ValueError:
        return None
    return int(ANYWHERE not in tags) if environment is None else environment.rank(tags)


def _build_number(part: str) -> int:
    found = re.match(r"[0-9]{1,9}", part)
    return int(found[0]) if found else 0
