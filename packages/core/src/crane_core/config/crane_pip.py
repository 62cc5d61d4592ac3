"""Import of what users of crane-pip registered: its `servers.json`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from crane_core.config.model import Configuration, Index
from crane_core.errors import ConfigBroken, CraneError
from crane_core.files import storage_errors

if TYPE_CHECKING:
    from pathlib import Path


def servers_file(home: Path) -> Path:
    """Where crane-pip keeps its registrations, on every system."""
    return home / ".local" / "share" / "crane" / "python" / "servers.json"


def read_servers(path: Path, known: Configuration) -> list[Index]:
    """Return an index for each entry `{URL: {client_id, token_url, device_url}}`.

    An index that is registered already keeps its name. Raises `ConfigBroken`.
    """
    with storage_errors(path):
        text = path.read_bytes()
    try:
        entries = json.loads(text)
        servers = [
            (url, entry["client_id"], entry["token_url"], entry["device_url"])
            for url, entry in entries.items()
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigBroken(
            f"{path}: not a servers.json of crane-pip ({error})",
            hint="register the index by hand: crane index register URL",
        ) from None
    indexes = []
    for url, client_id, token_url, device_url in servers:
        index = _index(path, known, url, client_id, token_url, device_url)
        known = known.with_index(index)
        indexes.append(index)
    return indexes


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
