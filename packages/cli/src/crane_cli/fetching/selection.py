"""Which files of a project are wanted: by name, by version and hash, by Python and platform."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from packaging.tags import compatible_tags, cpython_tags, parse_tag
from packaging.version import InvalidVersion, Version

from crane_core.errors import UsageError
from crane_core.index.candidates import name_and_version
from crane_core.index.environment import linux_platforms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from crane_cli.locks.model import Wanted
    from crane_core.index.page import ProjectPage

_LIBC = re.compile(r"(many|musl)linux_(\d+)_(\d+)_(\w+)")
_OLD = {"manylinux1": "2_5", "manylinux2010": "2_12", "manylinux2014": "2_17"}
_ANY = "any"


@dataclass(frozen=True)
class Selection:
    """The Python and the platforms that files are wanted for; None and none for all."""

    python: str | None = None
    platforms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.python is not None and not re.fullmatch(r"3\.\d{1,2}(\.\d+)?", self.python):
            raise UsageError(f"{self.python!r} is no Python version", hint="write it as 3.12")

    def of(self, names: Iterable[str]) -> list[str]:
        """Return the file names that fit: all, or wheels that can be installed, else sdists."""
        given = list(names)
        if self.python is None and not self.platforms:
            return given
        wheels = [name for name in given if name.endswith(".whl")]
        fitting = [name for name in wheels if self._takes(name)]
        return fitting or [name for name in given if name not in wheels]

    def _takes(self, wheel: str) -> bool:
        try:
            tags = parse_tag("-".join(wheel.removesuffix(".whl").split("-")[-3:]))
        except ValueError:
            return False
        return any(
            (tag.interpreter, tag.abi, self._place(tag.platform)) in self._accepted
            if self.python
            else tag.platform in {_ANY, *self._expanded}
            for tag in tags
        )

    def _place(self, platform: str) -> str:
        # Without platforms, all of them are wanted.
        return platform if self.platforms or platform == _ANY else "x"

    @cached_property
    def _accepted(self) -> frozenset[tuple[str, str, str]]:
        assert self.python is not None
        major, minor = (int(part) for part in self.python.split(".")[:2])
        platforms = self._expanded or ["x"]
        interpreter = f"cp{major}{minor}"
        tags = [
            *cpython_tags((major, minor), [interpreter], platforms),
            *compatible_tags((major, minor), interpreter, platforms),
        ]
        return frozenset((tag.interpreter, tag.abi, tag.platform) for tag in tags)

    @cached_property
    def _expanded(self) -> list[str]:
        """The platforms, and what runs there too: a wheel for an older libc does."""
        found: list[str] = []
        for platform in self.platforms:
            old = next((name for name in _OLD if platform.startswith(f"{name}_")), None)
            spelled = platform.replace(old, f"manylinux_{_OLD[old]}", 1) if old else platform
            libc = _LIBC.fullmatch(spelled)
            found.append(platform)
            if libc:
                kind = "glibc" if libc[1] == "many" else "musl"
                found += linux_platforms(libc[4], kind, f"{libc[2]}.{libc[3]}")
        return found


def files_of(page: ProjectPage, wanted: Wanted, selection: Selection) -> list[dict[str, Any]]:
    """Return the entries of a page that a lock wants."""
    by_name = {file["filename"]: file for file in page.files}
    if wanted.files:
        return [by_name[n] for n in selection.of(f.name for f in wanted.files) if n in by_name]
    named = [n for n in by_name if same_version(name_and_version(n)[1], wanted.version)]
    return [by_name[n] for n in selection.of(n for n in named if _may_be(by_name[n], wanted))]


def _may_be(file: dict[str, Any], wanted: Wanted) -> bool:
    """Whether the page's hash is one that the lock allows, where both say one."""
    known = {(a, d) for a, d in file["hashes"].items() if any(a == w[0] for w in wanted.hashes)}
    return not known or bool(known & wanted.hashes)


def same_version(one: str, other: str) -> bool:
    """Whether two spellings are of one version (PEP 440)."""
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other and bool(one)


def missing_names(wanted: Wanted, found: Sequence[str], selection: Selection) -> list[str]:
    """Return the names that the lock gives and a page does not have."""
    return [n for n in selection.of(f.name for f in wanted.files) if n not in found]
