"""Registering what a checkout says of its index, once a person has agreed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crane_core.clients.checkout import question
from crane_core.config.store import ConfigStore
from crane_core.errors import LoginNeeded, UsageError

if TYPE_CHECKING:
    from crane_core.clients.tool_person import ToolPerson
    from crane_core.config.model import Index
    from crane_core.platform import Paths


def trust(index: Index, paths: Paths, person: ToolPerson, *, agreed: bool = False) -> None:
    """Register an index that a project names, if a person agrees.

    Raises `LoginNeeded` where nobody can be asked, `UsageError` if they do not: to go on without a
    login would have the tool look for private names elsewhere.
    """
    if not agreed:
        if not person.can_confirm:
            raise LoginNeeded(
                f"pyproject.toml names the index {index.url}, and nobody has agreed to log in at "
                f"{index.issuer}",
                hint=f"run: {person.commands} trust",
            )
        if not person.confirm(question(index)):
            raise UsageError(
                f"{index.url} is not trusted, so it is not asked",
                hint=f"{person.without_us} goes on without crane",
            )
    ConfigStore(paths.config_file).save(index)
    person.notice(f"{index.name} is registered; crane index remove {index.name} takes it back")
