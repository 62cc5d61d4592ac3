"""`pdm crane status|login|logout|trust`: the logins of this project's indexes, or of all.

PDM makes all its parsers at each start, so this module imports nothing that PDM has not.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

from pdm.cli.commands.base import BaseCommand

from pdm_crane import pdm_internals

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pdm.project import Project

    from crane_core.clients.registered import Registered
    from crane_core.config.model import Index
    from pdm_crane.person import PdmPerson


class _Subcommand(BaseCommand):  # type: ignore[misc, unused-ignore]
    def handle(self, project: Project, options: argparse.Namespace) -> None:
        """Do it; an error of ours is one line."""
        from crane_core.clients.registered import read_registered
        from crane_core.platform import user_paths

        with pdm_internals.readable():
            registered = read_registered(user_paths(os.environ), os.environ)
            if registered.trouble is not None:
                raise registered.trouble
            self.work(registered, project, options)

    def work(self, registered: Registered, project: Project, options: argparse.Namespace) -> None:
        raise NotImplementedError


class _OfIndex(_Subcommand):
    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take an index."""
        parser.add_argument("index", nargs="?", help="Its name or URL; else this project's.")


class StatusCommand(_Subcommand):
    """Show the registered indexes, and who is logged in there"""

    name = "status"

    def work(self, registered: Registered, project: Project, options: argparse.Namespace) -> None:
        """Write one line an index, without asking the network."""
        from crane_core.clients.tool_commands import logins

        used = {index.name for index in _used(project, registered)}
        for index, login in logins(registered):
            mark = ", a source of this project" if index.name in used else ""
            _write(project, f"{index.name}  {index.url}  {login}{mark}")


class LoginCommand(_OfIndex):
    """Log in to an index, in the browser"""

    name = "login"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take an index, and whether to log in where somebody is logged in."""
        super().add_arguments(parser)
        parser.add_argument(
            "--force", action="store_true", help="Log in again if somebody is logged in."
        )

    def work(self, registered: Registered, project: Project, options: argparse.Namespace) -> None:
        """Log in, and say as whom."""
        from crane_core.clients.tool_commands import log_in_to

        chosen, person = _chosen(project, registered, options), _person(project, registered)
        for line in log_in_to(registered, person, chosen, even_so=options.force):
            _write(project, line)


class LogoutCommand(_OfIndex):
    """Revoke a login, and delete its tokens"""

    name = "logout"

    def work(self, registered: Registered, project: Project, options: argparse.Namespace) -> None:
        """Log out, and say whether the provider knows."""
        from crane_core.clients.tool_commands import log_out_of

        chosen, person = _chosen(project, registered, options), _person(project, registered)
        for line in log_out_of(registered, person, chosen):
            _write(project, line)


class TrustCommand(_Subcommand):
    """Register the index that [tool.crane] in pyproject.toml names"""

    name = "trust"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take an agreement, for a job whose author has read what is agreed to."""
        parser.add_argument("--yes", action="store_true", help="Agree to what it says.")

    def work(self, registered: Registered, project: Project, options: argparse.Namespace) -> None:
        """Register it, or say that there is nothing to do."""
        from crane_core.clients.tool_commands import trust_claimed

        table, person = pdm_internals.crane_table(project), _person(project, registered)
        if said := trust_claimed(registered, table, person, agreed=options.yes):
            _write(project, said)


class Command(BaseCommand):  # type: ignore[misc, unused-ignore]
    """Log in to the indexes that are registered with crane"""

    name = "crane"
    subcommands: ClassVar[Sequence[type[BaseCommand]]] = (
        StatusCommand,
        LoginCommand,
        LogoutCommand,
        TrustCommand,
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the subcommands."""
        subparsers = parser.add_subparsers(title="commands", metavar="")
        for subcommand in self.subcommands:
            subcommand.register_to(subparsers)
        self._parser = parser

    def handle(self, project: Project, options: argparse.Namespace) -> None:
        """Show what there is."""
        self._parser.print_help()


def _chosen(project: Project, registered: Registered, options: argparse.Namespace) -> list[Index]:
    from crane_core.clients.tool_commands import chosen_indexes

    return chosen_indexes(registered, options.index, lambda: _used(project, registered))


def _used(project: Project, registered: Registered) -> list[Index]:
    urls = [source.url for source in pdm_internals.sources_of(project)]
    return registered.configuration.named_by(urls)


def _person(project: Project, registered: Registered) -> PdmPerson:
    from pdm_crane.person import PdmPerson

    return PdmPerson(registered.environ, project.core.ui)


def _write(project: Project, text: str) -> None:
    project.core.ui.echo(text, markup=False, emoji=False, soft_wrap=True)
