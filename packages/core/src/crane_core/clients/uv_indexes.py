"""Which indexes a uv command names: its arguments, its variables and uv's own files."""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from crane_core.config.model import Configuration

OPTIONS = ("--index", "--extra-index-url")
DEFAULT_OPTIONS = ("--default-index", "--index-url", "-i")
VARIABLES = ("UV_INDEX", "UV_EXTRA_INDEX_URL")
DEFAULT_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")
_UNFIT = re.compile(r"[^A-Za-z0-9]")  # in the names that uv makes variables of


@dataclass(frozen=True)
class UvCommand:
    """A uv command line in a folder, with its environment."""

    arguments: Sequence[str]
    environ: Mapping[str, str]
    folder: Path

    @cached_property
    def indexes(self) -> tuple[str, ...]:
        """The URLs of the indexes in the order of their priority, without the default one.

        A default index counts behind all others, as for uv.
        """
        named = [*self._given(OPTIONS, VARIABLES)]
        for settings in self._settings:
            named += [url for url, is_default in _listed_urls(settings) if not is_default]
            for table in (settings, _table(settings, "pip")):
                extra = table.get("extra-index-url", [])
                named += map(str, extra if isinstance(extra, list) else [extra])
        return _distinct(named)

    @cached_property
    def default_indexes(self) -> tuple[str, ...]:
        """The URLs that are named in PyPI's place, of which uv takes the first."""
        named = [*self._given(DEFAULT_OPTIONS, DEFAULT_VARIABLES)]
        for settings in self._settings:
            named += [url for url, is_default in _listed_urls(settings) if is_default]
            for table in (settings, _table(settings, "pip")):
                named.append(str(table.get("index-url", "")))
        return _distinct(named)

    def placeholders(self, configuration: Configuration) -> dict[str, str]:
        """Return a login for uv where `authenticate = "always"` makes it insist on one.

        It gets no further than the gateway, which shows the token in its place.
        """
        from crane_core.urls import names_index

        found: dict[str, str] = {}
        for settings in self._settings:
            for index in _listed(settings):
                url, name = str(index.get("url", "")), _UNFIT.sub("_", str(index.get("name", "")))
                variables = [f"UV_INDEX_{name.upper()}_{kind}" for kind in ("USERNAME", "PASSWORD")]
                if (
                    index.get("authenticate") == "always"
                    and self.environ.keys().isdisjoint(variables)
                    and any(names_index(url, registered.url) for registered in configuration)
                ):
                    found |= dict.fromkeys(variables, "crane")
        return found

    def _given(self, options: Sequence[str], variables: Sequence[str]) -> Iterator[str]:
        yield from option_values(self.arguments, options)
        for name in variables:
            yield from self.environ.get(name, "").split()

    @cached_property
    def _settings(self) -> list[dict[str, Any]]:
        """The settings of each of uv's files, what counts more first."""
        found = []
        for path in filter(Path.is_file, uv_files(self.environ, self.folder)):
            settings = read_toml(path)
            if path.name == "pyproject.toml":
                settings = _table(_table(settings, "tool"), "uv")
            found.append(settings)
        return found


def uv_files(
    environ: Mapping[str, str],
    folder: Path,
    *,
    home: Path | None = None,
    system: str = sys.platform,
) -> Iterator[Path]:
    """Yield where uv looks for settings when it is started in a folder, what counts more first."""
    if named := environ.get("UV_CONFIG_FILE"):
        yield Path(named)
        return
    # A workspace's root stands above its members, and its settings count for all.
    for above in (folder, *folder.parents):
        yield above / "pyproject.toml"
        yield above / "uv.toml"
    yield from _user_and_system_files(environ, home or Path.home(), system)


def _user_and_system_files(environ: Mapping[str, str], home: Path, system: str) -> Iterator[Path]:
    """Yield uv's own places (uv's documentation, "Configuration files" and "Storage")."""
    if system == "win32":
        yield Path(environ.get("APPDATA") or home / "AppData" / "Roaming", "uv", "uv.toml")
        yield Path(environ.get("PROGRAMDATA") or "C:/ProgramData", "uv", "uv.toml")
        return
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "uv", "uv.toml")
    # uv takes the first of these that is there.
    shared = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    places = (*(Path(place, "uv", "uv.toml") for place in shared if place), Path("/etc/uv/uv.toml"))
    yield next(filter(Path.is_file, places), places[-1])


def option_values(arguments: Sequence[str], options: Sequence[str]) -> Iterator[str]:
    """Yield the value of each of these options, written `--name value` or `--name=value`."""
    for number, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in options:
            yield value if equals else "".join(arguments[number + 1 : number + 2])


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file says; nothing if it cannot be read, which its own tool says."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def _distinct(named: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(url for given in named if (url := _bare(given))))


def _bare(given: str) -> str:
    """Return the URL of uv's `NAME=URL`."""
    _, equals, rest = given.partition("=")
    return rest if equals and rest.startswith("http") else given


def _listed_urls(settings: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    for index in _listed(settings):
        yield str(index.get("url", "")), index.get("default") is True


def _listed(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = settings.get("index", [])
    return [i for i in listed if isinstance(i, dict)] if isinstance(listed, list) else []


def _table(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = table.get(name, {})
    return found if isinstance(found, dict) else {}
