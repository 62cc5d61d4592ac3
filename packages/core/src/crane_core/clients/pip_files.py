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


def pip_files(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield where pip looks, what counts more later (pip's documentation, "Configuration")."""
    if sys.platform == "win32":
        yield Path(environ.get("PROGRAMDATA", r"C:\ProgramData"), "pip", "pip.ini")
        yield home / "pip" / "pip.ini"
        yield Path(environ.get("APPDATA", str(home)), "pip", "pip.ini")
    else:
        for folder in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep):
            yield Path(folder, "pip", "pip.conf")
        yield Path(SYSTEM_FILE)
        if sys.platform == "darwin":
            yield Path("/Library/Application Support/pip/pip.conf")
        yield home / ".pip" / "pip.conf"
        mac = home / "Library" / "Application Support" / "pip"
        if sys.platform == "darwin" and mac.is_dir():
            yield mac / "pip.conf"
        else:
            yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "pip", "pip.conf")
    if environment := environ.get("VIRTUAL_ENV"):
        yield Path(environment, "pip.ini" if sys.platform == "win32" else "pip.conf")
    if named := environ.get("PIP_CONFIG_FILE"):
        yield Path(named)
