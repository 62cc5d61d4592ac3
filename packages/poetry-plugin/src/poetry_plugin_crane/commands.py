"""`poetry crane status|login|logout`: the logins of this project's indexes, or of all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

from cleo.helpers import argument, option
from poetry.console.commands.command import Command

from crane_core.clients.registered import read_registered
from crane_core.clients.tool_commands import (
    chosen_indexes,
    log_in_to,
    log_out_of,
    logins,
    trust_claimed,
)
from crane_core.errors import CraneError
from poetry_plugin_crane.person import PoetryPerson
from poetry_plugin_crane.poetry_internals import trouble

if TYPE_CHECKING:
    from crane_core.clients.registered import Registered
    from crane_core.config.model import Index


class _CraneCommand(Command):  # type: ignore[misc, unused-ignore]
    def handle(self) -> int:
        """Do it; an error of ours is one line."""
        from crane_core.platform import user_paths

        registered = read_registered(user_paths(os.environ), os.environ)
        try:
            if registered.trouble is not None:
                raise registered.trouble
            self.work(registered)
        except CraneError as error:
            raise trouble(error) from None
        return 0

    def work(self, registered: Registered) -> None:
        raise NotImplementedError

    def chosen(self, registered: Registered) -> list[Index]:
        """Return the indexes that the command is about."""
        return chosen_indexes(registered, self.argument("index"), lambda: _used(self, registered))

    def person(self, registered: Registered) -> PoetryPerson:
        person = PoetryPerson(registered.environ)
        person.io = self.io
        return person


def _used(command: Command, registered: Registered) -> list[Index]:
    from poetry_plugin_crane.poetry_internals import sources_of

    try:
        urls = [url for _, url in sources_of(command.poetry)]
    except Exception:  # noqa: BLE001 - outside of a project there is none
        return []
    return registered.configuration.named_by(urls)


class StatusCommand(_CraneCommand):
    """Shows without asking the network."""

    name = "crane status"
    description = "Shows the registered indexes, and who is logged in there."

    def work(self, registered: Registered) -> None:
        """Write one line an index."""
        used = {index.name for index in _used(self, registered)}
        for index, login in logins(registered):
            mark = ", a source of this project" if index.name in used else ""
            self.line(f"<c1>{index.name}</c1>  {index.url}  <info>{login}</info>{mark}")


class LoginCommand(_CraneCommand):
    """Logs in even where somebody is logged in, if told so."""

    name = "crane login"
    description = "Logs in to an index, in the browser."
    arguments: ClassVar = [
        argument("index", "Its name or URL; else this project's.", optional=True)
    ]
    options: ClassVar = [option("force", None, "Log in again if somebody is logged in.", flag=True)]

    def work(self, registered: Registered) -> None:
        """Log in, and say as whom."""
        chosen, force = self.chosen(registered), bool(self.option("force"))
        for line in log_in_to(registered, self.person(registered), chosen, even_so=force):
            self.line(line)


class LogoutCommand(_CraneCommand):
    """Ends the login everywhere."""

    name = "crane logout"
    description = "Revokes a login, and deletes its tokens."
    arguments: ClassVar = [
        argument("index", "Its name or URL; else this project's.", optional=True)
    ]

    def work(self, registered: Registered) -> None:
        """Log out, and say whether the provider knows."""
        for line in log_out_of(registered, self.person(registered), self.chosen(registered)):
            self.line(line)


class TrustCommand(_CraneCommand):
    """Asks even where `poetry install` could not; `--yes` is for a job whose author has read it."""

    name = "crane trust"
    description = "Registers the index that [tool.crane] in pyproject.toml names."
    options: ClassVar = [option("yes", None, "Agree to what it says.", flag=True)]

    def work(self, registered: Registered) -> None:
        """Register it, or say that there is nothing to do."""
        from poetry_plugin_crane.poetry_internals import crane_table

        table, agreed = crane_table(self.poetry), bool(self.option("yes"))
        if said := trust_claimed(registered, table, self.person(registered), agreed=agreed):
            self.line(said)


COMMANDS = {
    "status": StatusCommand,
    "login": LoginCommand,
    "logout": LogoutCommand,
    "trust": TrustCommand,
}
