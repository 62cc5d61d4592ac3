"""A glance at whether a run may ask a registered index, without all that a look would load.

It errs on the side of yes: hosts are searched for in plain text, wherever an index can be named.
"""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from crane_core.clients.pip_files import pip_files
from crane_core.clients.uv_indexes import uv_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LARGEST = 16 << 20  # bytes of a lock file that is looked into
LISTS = (".txt", ".in", ".toml")  # files of requirements, and lock files
PREFIXES = ("PIP_", "UV_")  # how the installers' variables begin
_HOST = re.compile(r"https?://(?:[^/@\s\"']*@)?(\[[^\]\s]*\]|[^/:\s\"'?#]+)", re.IGNORECASE)


def registered_hosts(config_file: Path) -> frozenset[str] | None:
    """Return all hosts in a configuration file, broken or not; None if it cannot be read."""
    try:
        return _hosts(config_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return frozenset()
    except (OSError, UnicodeDecodeError):
        return None


def mentions(
    hosts: frozenset[str], folder: Path, arguments: Sequence[str], environ: Mapping[str, str]
) -> bool:
    """Whether any of these hosts stands where a run of pip or uv may name its indexes."""
    for found in map(_hosts, _texts(folder, arguments, environ)):
        # One host may be written in two ways, if not all of its letters are ASCII.
        if found & hosts or not all(map(str.isascii, found)):
            return True
    return False


def _texts(folder: Path, arguments: Sequence[str], environ: Mapping[str, str]) -> Iterator[str]:
    yield from arguments
    yield from (value for name, value in environ.items() if name.startswith(PREFIXES))
    files = chain(
        (folder / name for name in ("pyproject.toml", "hatch.toml")),
        (folder / argument for argument in arguments if argument.endswith(LISTS)),
        uv_files(environ, Path.cwd()),
        pip_files(environ, Path.home()),
    )
    yield from map(text, files)


def _hosts(text: str) -> frozenset[str]:
    return frozenset(host.lower().rstrip(".") for host in _HOST.findall(text))


def text(path: Path) -> str:
    """Return the text of a file, an empty one if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST).decode("utf-8", "replace")
    except OSError:
        return ""
