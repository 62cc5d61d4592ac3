"""What a team shares of its index: a block in pyproject.toml, or a small file. Never a secret."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crane_core.config.model import DEFAULT_CLIENT_ID
from crane_core.errors import ConfigBroken, UsageError
from crane_core.files import storage_errors

if TYPE_CHECKING:
    from crane_core.config.model import Index

PYPROJECT = "pyproject.toml"
CRANE_TOML = "crane.toml"
HEADER = "The package index of this team, for: crane setup {name}"


def shared_table(index: Index) -> dict[str, str]:
    """Return what colleagues need to know of an index. Raises `UsageError` if that is not enough.

    Only what a checkout may name at all (`crane_core.clients.checkout`): no account, no file of
    this machine, nothing that weakens a check.
    """
    if index.issuer is None:
        raise UsageError(
            f"{index.name} has no issuer, so colleagues could not be told where to log in",
            hint="let them run: crane index register URL CLIENT_ID TOKEN_URL DEVICE_URL",
        )
    table = {"index": index.url, "issuer": index.issuer}
    if index.client_id != DEFAULT_CLIENT_ID:
        table["client-id"] = index.client_id
    return table | {"name": index.name}


def write_team_file(path: Path, index: Index) -> bool:
    """Write it, and leave every other line as it is; returns whether anything has changed.

    Raises a `CraneError`.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    table = shared_table(index)
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", hint="make it, or name another file")
    before = _text(path)
    try:
        document = tomlkit.parse(before)
        if path.name == PYPROJECT:
            tool = document.setdefault("tool", tomlkit.table(is_super_table=True))
            place: Any = tool.setdefault("crane", tomlkit.table())
        else:
            place = document
        for key in [key for key in place if key not in table]:
            del place[key]
        place.update(table)
    except (TOMLKitError, AttributeError, TypeError) as error:
        raise ConfigBroken(
            f"{path} cannot be changed: {error}", hint="correct it by hand"
        ) from None
    text = document.as_string()
    if not before and path.name != PYPROJECT:
        text = f"# {HEADER.format(name=path.name)}\n{text}"
    if text == before:
        return False
    _replace(path, text)
    return True


def read_team_file(path: Path) -> dict[str, Any] | None:
    """Return the table of a team's file, None if it has none. Raises `ConfigBroken`."""
    try:
        document = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigBroken(f"{path} cannot be read: {error}", hint="correct it by hand") from None
    if path.name != PYPROJECT:
        return document or None
    tool = document.get("tool", {})
    table = tool.get("crane") if isinstance(tool, dict) else None
    return table if isinstance(table, dict) else None


def _text(path: Path) -> str:
    with storage_errors(path):
        try:
            # Line endings stay: git may be strict about them.
            with path.open(encoding="utf-8", newline="") as file:
                return file.read()
        except FileNotFoundError:
            return ""
        except UnicodeDecodeError:
            raise ConfigBroken(f"{path} is not UTF-8", hint="correct it by hand") from None


def _replace(path: Path, text: str) -> None:
    """Write beside it and rename: Ctrl-C leaves the old file or the new one."""
    import os
    import tempfile

    from crane_core.sharing import remove, replace

    target = path.resolve()
    with storage_errors(path):
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        beside = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            beside.chmod(mode)
            replace(beside, target)
        except BaseException:
            remove(beside)
            raise
