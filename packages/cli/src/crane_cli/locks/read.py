"""Telling lock files apart, by their names as their tools do, else by what is in them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crane_cli.locks.model import broken
from crane_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_cli.locks.model import Wanted

# PEP 751: `pylock.toml`, or with a name of its own in between.
PYLOCK = re.compile(r"pylock(\.[^.]+)?\.toml")
USUAL = ("pylock.toml", "uv.lock", "poetry.lock", "pdm.lock", "requirements.txt")


def read_lock(name: str, environ: Mapping[str, str]) -> list[Wanted]:
    """Return what a lock or requirements file wants. Raises `UsageError`."""
    path = Path(name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{name} cannot be read: {error.strerror}", hint="check the path"
        ) from None
    if path.suffix not in {".lock", ".toml"}:
        from crane_cli.locks.requirements import read_requirements

        return read_requirements(path, environ)
    try:
        document = tomllib.loads(content.decode("utf-8"))
    except ValueError as error:  # TOML and UTF-8
        raise broken(name, str(error)) from None
    try:
        return _read(path, document)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise broken(name, f"not as its tool writes it ({error})") from None


def _read(path: Path, document: dict[str, Any]) -> list[Wanted]:
    from crane_cli.locks import toml_locks

    name = str(path)
    if PYLOCK.fullmatch(path.name) or "lock-version" in document:
        from crane_cli.locks.pylock import read_pylock

        return read_pylock(document, name)
    metadata = document.get("metadata", {})
    if "lock_version" in metadata:
        return toml_locks.read_pdm(document, name)
    if "lock-version" in metadata:
        return toml_locks.read_poetry(document, name)
    if "version" in document and "package" in document:
        return toml_locks.read_uv(document, name)
    raise UsageError(
        f"{name} is no lock file that crane knows",
        hint="it reads requirements.txt, poetry.lock, pdm.lock, uv.lock and pylock.toml",
    )


def usual_file() -> str:
    """Return the one lock file of this folder. Raises `UsageError` for none or several."""
    found = [name for name in USUAL if Path(name).is_file()]
    if len(found) == 1:
        return found[0]
    what = f"there are several here: {', '.join(found)}" if found else "there is none here"
    raise UsageError(f"no lock file is named, and {what}", hint="run: crane prefetch FILE")
