"""What the plugins' own commands do: the same in each tool, which parses and prints its own way."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from crane_core.auth.credentials import is_ready_made
from crane_core.clients.checkout import claimed_index
from crane_core.clients.logins import log_in, log_out, session_store, who
from crane_core.clients.trusting import trust
from crane_core.config.model import none_registered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from crane_core.clients.registered import Registered
    from crane_core.clients.tool_person import ToolPerson
    from crane_core.config.model import Index


def chosen_indexes(
    registered: Registered, name: str | None, used: Callable[[], list[Index]]
) -> list[Index]:
    """Return the index that is named, else the project's own, else the only one.

    Raises `NotRegistered`.
    """
    configuration = registered.configuration
    if name:
        return [configuration.find(name)]
    return used() or [configuration.only_or_default()]


def logins(registered: Registered) -> Iterator[tuple[Index, str]]:
    """Yield each index and who is logged in there, without asking the network.

    Raises `NotRegistered` if there is none.
    """
    if not registered.configuration.indexes:
        raise none_registered()
    store = session_store(registered.paths, registered.environ)
    for index in registered.configuration:
        person = who(store.read_for(index), time.time())
        login = f"logged in as {person}" if person else "nobody is logged in"
        yield index, "a token is set" if is_ready_made(index, registered.environ) else login


def log_in_to(
    registered: Registered, person: ToolPerson, indexes: Sequence[Index], *, even_so: bool
) -> Iterator[str]:
    """Log in, then yield a line for each index. Raises a `CraneError`."""
    asyncio.run(log_in(registered.paths, registered.environ, person, indexes, even_so=even_so))
    store = session_store(registered.paths, registered.environ)
    for index in indexes:
        account = who(store.read_for(index), time.time())
        yield f"logged in to {index.name}" + (f" as {account}" if account else "")


def log_out_of(
    registered: Registered, person: ToolPerson, indexes: Sequence[Index]
) -> Iterator[str]:
    """Log out of each index, and yield whether its provider knows. Raises a `CraneError`."""
    for index in indexes:
        problem = asyncio.run(log_out(registered.paths, registered.environ, person, index))
        note = f"; not revoked at the provider: {problem}" if problem else ""
        yield f"logged out of {index.name}{note}"


def trust_claimed(
    registered: Registered, table: Mapping[str, object], person: ToolPerson, *, agreed: bool
) -> str | None:
    """Register what `[tool.crane]` names, after a question; return why there is nothing to do.

    Raises a `CraneError`.
    """
    index = claimed_index(table, registered.configuration) if table else None
    if index is None:
        return "pyproject.toml names no index that is not registered"
    trust(index, registered.paths, person, agreed=agreed)
    return None
