"""What pip's configuration files say of the network, read without starting pip."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SYSTEM_FILE = "/etc/pip.conf"
MAC_SYSTEM_FILE = "/Library/Application Support/pip/pip.conf"
# pip's own command names that reach an index; what stands in `global` counts for all.
SECTIONS = ("global", "install", "download", "wheel")


@dataclass(frozen=True, slots=True)
class PipFiles:
    """The `cert` and `proxy` of pip's files, None where they name none."""

    cert: str | None = None
    proxy: str | None = None


def read_pip_files(environ: Mapping[str, str], home: Path) -> PipFiles:
    """Return what pip's files say; the last file and the most special section count, as for pip.

    A file that pip cannot read either is passed over: pip says so itself.
    """
    found: dict[str, str] = {}
    for sections in _read_all(environ, home):
        for section in SECTIONS:
            found |= sections.get(section, {})
    return PipFiles(found.get("cert") or None, found.get("proxy") or None)


def read_pip_configuration(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return all that pip's files say, as `SECTION.NAME`; the last file counts."""
    found: dict[str, str] = {}
    for sections in _read_all(environ, home):
        for section, values in sections.items():
            found |= {f"{section}.{name}": value for name, value in values.items()}
    return found


def _read_all(environ: Mapping[str, str], home: Path) -> Iterator[dict[str, dict[str, str]]]:
    """Yield the sections of each file."""
    if environ.get("PIP_CONFIG_FILE") != os.devnull:
        yield from map(_read, filter(Path.is_file, pip_files(environ, home)))


def _read(path: Path) -> dict[str, dict[str, str]]:
    import configparser

    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (OSError, configparser.Error, UnicodeDecodeError):
        return {}
    return {section: dict(parser.items(section)) for section in parser.sections()}


def pip_files(
    environ: Mapping[str, str], home: Path, *, system: str = sys.platform
) -> Iterator[Path]:
    """Yield where pip looks, what counts more later (pip's documentation, "Configuration").

    A file that PIP_CONFIG_FILE names stands in place of the user's own, if it is there.
    """
    yield from map(Path, _global_files(environ, system))
    named = environ.get("PIP_CONFIG_FILE")
    if not (named and Path(named).exists()):
        yield from _user_files(environ, home, system)
    if environment := environ.get("VIRTUAL_ENV"):
        yield Path(environment, "pip.ini" if system == "win32" else "pip.conf")
    if named:
        yield Path(named)


def _global_files(environ: Mapping[str, str], system: str) -> Iterator[str]:
    if system == "win32":
        programs = environ.get("PROGRAMDATA") or environ.get("ALLUSERSPROFILE")
        yield f"{programs or 'C:/ProgramData'}/pip/pip.ini"
    elif system == "darwin":
        yield MAC_SYSTEM_FILE
    else:
        # Most important first for the standard (XDG Base Directory), last for pip.
        for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"):
            if folder:
                yield f"{folder}/pip/pip.conf"
        yield SYSTEM_FILE


def _user_files(environ: Mapping[str, str], home: Path, system: str) -> Iterator[Path]:
    if system == "win32":
        yield home / "pip" / "pip.ini"
        yield Path(environ.get("APPDATA") or home / "AppData" / "Roaming", "pip", "pip.ini")
        return
    yield home / ".pip" / "pip.conf"
    if system == "darwin":
        # XDG_CONFIG_HOME is no matter there.
        own = home / "Library" / "Application Support" / "pip"
        yield (own if own.is_dir() else home / ".config" / "pip") / "pip.conf"
    else:
        yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "pip", "pip.conf")
