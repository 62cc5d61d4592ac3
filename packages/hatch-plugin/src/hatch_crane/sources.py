"""Which indexes and files a run of pip or uv names: arguments, variables and their own files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from crane_core.clients.pip_arguments import PipCommand
from crane_core.clients.uv_indexes import UvCommand
from crane_core.urls import within
from hatch_crane.glance import LISTS, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from crane_core.config.model import Configuration

PYPI = "https://pypi.org/simple"
_URL = re.compile(r"https?://[^\s\"'<>;,\]\[]+")
_REFERENCE = re.compile(r"@\s*(https?://[^\s\"';,]+)")  # PEP 508: NAME @ URL


@dataclass(frozen=True, slots=True)
class Named:
    """URLs of indexes in the order of their priority, and of files that may be at one."""

    indexes: tuple[str, ...]
    files: tuple[str, ...]

    def sources(self, configuration: Configuration) -> Sources:
        """Return all sources: the registered indexes to which the files belong are some, too."""
        found = [i.url for i in configuration if any(within(f, i.token_prefix) for f in self.files)]
        return Sources(tuple(dict.fromkeys([*self.indexes, *found])))


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of one run, as core's `ProjectRoute` asks for them."""

    urls: tuple[str, ...]

    def is_bound(self, project: str, url: str) -> bool:
        """Neither pip nor uv's pip binds a name to a source."""
        return False


@dataclass(frozen=True)
class PipRequest:
    """A `pip …`; `configured` is what pip's files say, as `SECTION.NAME`."""

    arguments: tuple[str, ...]  # without the `pip`
    environ: Mapping[str, str]
    configured: Mapping[str, str]

    @cached_property
    def line(self) -> PipCommand:
        """The command line as pip reads it."""
        return PipCommand(self.arguments)

    def setting(self, name: str) -> str:
        """Return a setting of the variables, else of the files; empty if there is none."""
        variable = self.environ.get(f"PIP_{name.upper().replace('-', '_')}")
        sections = (self.line.command or "install", "global")
        found = (self.configured.get(f"{section}.{name}", "") for section in sections)
        return (variable or next(filter(None, found), "")).strip()

    @property
    def main(self) -> str | None:
        """The index that stands in PyPI's place or is it; None if no index is asked."""
        is_off = self.setting("no-index").lower() in {"1", "y", "yes", "true", "on"}
        if is_off or not self.line.needs_index:
            return None
        return self.line.index_url or self.setting("index-url") or PYPI

    @property
    def indexes(self) -> tuple[str, ...]:
        """The indexes that are asked, the main one first."""
        if (main := self.main) is None:
            return ()
        extra = [*self.line.extra_index_urls, *self.setting("extra-index-url").split()]
        return tuple(dict.fromkeys([main, *extra]))

    def named(self, folder: Path) -> Named:
        """Return what it names, for a project of this folder."""
        return Named(self.indexes, tuple(_files(self.arguments, folder)))


def named_by_uv(uv: UvCommand) -> Named:
    """Return what a `uv …` names."""
    urls = [*uv.indexes, *(uv.default_indexes or (PYPI,))]
    return Named(tuple(dict.fromkeys(urls)), tuple(_files(uv.arguments, uv.folder)))


def named_by_project(
    folder: Path, environ: Mapping[str, str], configured: Mapping[str, str]
) -> tuple[str, ...]:
    """Return every URL that may name an index of a project, for the commands about logins."""
    written = [text(folder / name) for name in ("pyproject.toml", "hatch.toml")]
    pip = PipRequest(("install", "x"), environ, configured)
    uv = named_by_uv(UvCommand(("pip", "install"), environ, folder))
    return (*pip.indexes, *uv.indexes, *(url for one in written for url in _URL.findall(one)))


def _files(arguments: Sequence[str], folder: Path) -> Iterator[str]:
    """Yield the URLs of requirements, of those in files and lock files, and of the project's."""
    for argument in arguments:
        yield from _URL.findall(argument)
        if argument.endswith(LISTS):
            yield from _URL.findall(text(folder / argument))
    yield from _REFERENCE.findall(text(folder / "pyproject.toml"))
