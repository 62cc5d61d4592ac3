"""What a checkout says of its index, in `[tool.crane]` of pyproject.toml.

A checkout is somebody else's word. It can name an index, its provider and its client, and nothing
that runs a command, weakens a check or reads a file; and it counts only after a person has agreed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crane_core.config.model import DEFAULT_CLIENT_ID, Index
from crane_core.errors import ConfigBroken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.config.model import Configuration

KEYS = ("index", "issuer", "client-id", "name")


WHERE = "[tool.crane] in pyproject.toml"


def claimed_index(
    table: Mapping[str, Any], configuration: Configuration, where: str = WHERE
) -> Index | None:
    """Return the index that a checkout names, None if it is registered already.

    What is registered counts, whatever the checkout says of it. Raises `ConfigBroken` for what
    does not belong there, and what an `Index` raises.
    """
    for key, value in table.items():
        if key not in KEYS or not isinstance(value, str) or not value:
            raise ConfigBroken(
                f"{where}: {key} is not known there, or no text",
                hint=f"it has {', '.join(KEYS)}",
            )
    if missing := [key for key in ("index", "issuer") if key not in table]:
        raise ConfigBroken(f"{where} has no {missing[0]}", hint="add it, or take it out")
    if configuration.match(table["index"]) is not None:
        return None
    return Index(
        name=table.get("name") or configuration.free_name(table["index"]),
        url=table["index"],
        issuer=table["issuer"],
        client_id=table.get("client-id", DEFAULT_CLIENT_ID),
    )


def question(index: Index, where: str = "pyproject.toml") -> str:
    """Return what a person has to agree to; both hosts are shown whole."""
    return (
        f"{where} says that the index {index.url} wants a login at {index.issuer} "
        f"(client {index.client_id}). crane would log you in there, and send that login's token "
        "to the index. Do you trust both?"
    )
