"""`poetry crane status|login|logout`: the logins of this project's indexes, or of all."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, ClassVar

from cleo.helpers import argument, option
from poetry.console.commands.command import Command

from crane_core.clients.logins import log_in, log_out, session_store, who
from crane_core.errors import CraneError
from poetry_plugin_crane.person import PoetryPerson
from poetry_plugin_crane.poetry_internals import trouble
from poetry_plugin_crane.settings import Settings, read_settings

if TYPE_CHECKING:
    from crane_core.config.model import Index


class _CraneCommand(Command):  # type: ignore[misc, unused-ignore]
    def handle(self) -> int:
        """Do it; an error of ours is one line."""
        from crane_core.platform import user_paths

        settings = read_settings(user_paths(os.environ), os.environ)
        try:
            if settings.trouble is not None:
                raise settings.trouble
            self.work(settings)
        except CraneError as error:
            raise trouble(error) from None
        return 0

    def work(self, settings: Settings) -> None:
        raise NotImplementedError

    def chosen(self, settings: Settings) -> list[Index]:
        """Return the index that is named, else the project's own, else the only one."""
        configuration = settings.configuration
        if name := self.argument("index"):
            return [configuration.find(name)]
        return _used(self, settings) or [configuration.only_or_default()]

    def person(self, settings: Settings) -> PoetryPerson:
        person = PoetryPerson(settings.environ)
        person.io = self.io
        return person


def _used(command: Command, settings: Settings) -> list[Index]:
    from crane_core.urls import names_index
    from poetry_plugin_crane.poetry_internals import sources_of

    try:
        urls = [url for _, url in sources_of(command.poetry)]
    except Exception:  # noqa: BLE001 - outside of a project there is none
        return []
    return [i for i in settings.configuration if any(names_index(url, i.url) for url in urls)]


class StatusCommand(_CraneCommand):
    """Shows without asking the network."""

    name = "crane status"
    description = "Shows the registered indexes, and who is logged in there."

    def work(self, settings: Settings) -> None:
        """Write one line an index."""
        from crane_core.auth.credentials import is_ready_made
        from crane_core.config.model import none_registered

        if not settings.configuration.indexes:
            raise none_registered()
        used = {index.name for index in _used(self, settings)}
        store = session_store(settings.paths, settings.environ)
        for index in settings.configuration:
            person = who(store.read_for(index), time.time())
            login = f"logged in as {person}" if person else "nobody is logged in"
            if is_ready_made(index, settings.environ):
                login = "a token is set"
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

    def work(self, settings: Settings) -> None:
        """Log in, and say as whom."""
        chosen, force = self.chosen(settings), bool(self.option("force"))
        person = self.person(settings)
        asyncio.run(log_in(settings.paths, settings.environ, person, chosen, even_so=force))
        store = session_store(settings.paths, settings.environ)
        for index in chosen:
            account = who(store.read_for(index), time.time())
            self.line(f"logged in to {index.name}" + (f" as {account}" if account else ""))


class LogoutCommand(_CraneCommand):
    """Ends the login everywhere."""

    name = "crane logout"
    description = "Revokes a login, and deletes its tokens."
    arguments: ClassVar = [
        argument("index", "Its name or URL; else this project's.", optional=True)
    ]

    def work(self, settings: Settings) -> None:
        """Log out, and say whether the provider knows."""
        for index in self.chosen(settings):
            person = self.person(settings)
            problem = asyncio.run(log_out(settings.paths, settings.environ, person, index))
            note = f"; not revoked at the provider: {problem}" if problem else ""
            self.line(f"logged out of {index.name}{note}")


class TrustCommand(_CraneCommand):
    """Asks even where `poetry install` could not; `--yes` is for a job whose author has read it."""

    name = "crane trust"
    description = "Registers the index that [tool.crane] in pyproject.toml names."
    options: ClassVar = [option("yes", None, "Agree to what it says.", flag=True)]

    def work(self, settings: Settings) -> None:
        """Register it, or say that there is nothing to do."""
        from poetry_plugin_crane import claims
        from poetry_plugin_crane.poetry_internals import crane_table

        table = crane_table(self.poetry)
        index = claims.claimed_index(table, settings.configuration) if table else None
        if index is None:
            self.line("pyproject.toml names no index that is not registered")
            return
        agreed = bool(self.option("yes"))
        claims.trust(index, settings.paths, self.person(settings), agreed=agreed)


COMMANDS = {
    "status": StatusCommand,
    "login": LoginCommand,
    "logout": LogoutCommand,
    "trust": TrustCommand,
}
