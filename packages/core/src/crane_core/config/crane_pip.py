"""Import of what users of crane-pip registered: its `servers.json`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from crane_core.config.model import Configuration, Index
from crane_core.errors import ConfigBroken, CraneError

if TYPE_CHECKING:
    from pathlib import Path


def servers_file(home: Path) -> Path:
    """Where crane-pip keeps its registrations, on every system."""
    return home / ".local" / "share" / "crane" / "python" / "servers.json"


def read_servers(path: Path, known: Configuration) -> list[Index]:
    """Return an index for each entry `{URL: {client_id, token_url, device_url}}`.

    An index that is registered already keeps its name. Raises `ConfigBroken`.
    """
    try:
        entries = json.loads(path.read_bytes())
        servers = [
            (url, *(_text(entry, key) for key in ("client_id", "token_url", "device_url")))
            for url, entry in entries.items()
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        )
        raise ConfigBroken(
            f"{path}: no servers.json of crane-pip ({reason})",
            hint="register the index by hand: crane index register URL",
        ) from None
    indexes = []
    for url, client_id, token_url, device_url in servers:
        index = _index(path, known, url, client_id, token_url, device_url)
        known = known.with_index(index)
        indexes.append(index)
    return indexes


def _text(entry: dict[str, object], key: str) -> str:
    value = entry[key]
    if not isinstance(value, str) or not value:
        raise TypeError(f"{key} is not a text")
    return value


def _index(
    path: Path, known: Configuration, url: str, client_id: str, token_url: str, device_url: str
) -> Index:
    try:
        # What the user has set since, such as private names, stays.
        existing = known.match(url) or Index(name=known.free_name(url), url=url)
        return replace(
            existing,
            issuer=None,
            client_id=client_id,
            token_endpoint=token_url,
            device_authorization_endpoint=device_url,
        )
    except CraneError as error:
        raise ConfigBroken(f"{path}: {error.message}", hint=error.hint) from error
