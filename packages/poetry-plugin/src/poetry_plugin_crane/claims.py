"""`[tool.crane]` in a project's pyproject.toml: registered once a person has agreed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crane_core.clients.checkout import claimed_index, question
from crane_core.config.store import ConfigStore
from crane_core.errors import LoginNeeded, UsageError

__all__ = ["claimed_index", "trust"]

if TYPE_CHECKING:
    from crane_core.config.model import Index
    from crane_core.platform import Paths
    from poetry_plugin_crane.person import PoetryPerson


def trust(index: Index, paths: Paths, person: PoetryPerson, *, agreed: bool = False) -> None:
    """Register an index that a project names, if a person agrees.

    Raises `LoginNeeded` where nobody can be asked, `UsageError` if they do not: to go on without a
    login would have Poetry look for private names elsewhere.
    """
    if not agreed:
        if not person.can_confirm:
            raise LoginNeeded(
                f"pyproject.toml names the index {index.url}, and nobody has agreed to log in at "
                f"{index.issuer}",
                hint="run: poetry crane trust",
            )
        if not person.confirm(question(index)):
            raise UsageError(
                f"{index.url} is not trusted, so it is not asked",
                hint="poetry --no-plugins goes on without crane",
            )
    ConfigStore(paths.config_file).save(index)
    person.notice(f"{index.name} is registered; crane index remove {index.name} takes it back")
