"""`hatch-crane status|login|logout|trust`: Hatch has no place for commands of plugins."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from crane_core.clients.pip_files import read_pip_configuration
from crane_core.clients.registered import read_registered
from crane_core.clients.tool_commands import (
    chosen_indexes,
    log_in_to,
    log_out_of,
    logins,
    trust_claimed,
)
from crane_core.errors import CraneError
from crane_core.platform import user_paths
from hatch_crane.person import HatchPerson
from hatch_crane.route import crane_table
from hatch_crane.sources import named_by_project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crane_core.clients.registered import Registered
    from crane_core.config.model import Index

INTERRUPTED = 130  # as a shell has it: 128 + SIGINT


def main() -> None:
    """Run a command and end; an error of ours is one line, and the exit code is its own."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command, and return the exit code."""
    options = _parser().parse_args(arguments)
    person = HatchPerson(os.environ)
    try:
        registered = read_registered(user_paths(os.environ), os.environ)
        if registered.trouble is not None:
            raise registered.trouble
        options.work(registered, person, options)
    except CraneError as error:
        person.notice(error.line)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "hatch-crane", description="Log in to the indexes that are registered with crane."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    status = commands.add_parser("status", help="show the indexes, and who is logged in there")
    status.set_defaults(work=_status)
    login = commands.add_parser("login", help="log in to an index, in the browser")
    login.add_argument("--force", action="store_true", help="log in again if somebody is logged in")
    login.set_defaults(work=_login)
    logout = commands.add_parser("logout", help="revoke a login, and delete its tokens")
    logout.set_defaults(work=_logout)
    for command in (login, logout):
        command.add_argument("index", nargs="?", help="its name or URL; else this project's")
    agree = commands.add_parser(
        "trust", help="register the index that [tool.crane] in pyproject.toml names"
    )
    agree.add_argument("--yes", action="store_true", help="agree to what it says")
    agree.set_defaults(work=_trust)
    return parser


def _status(registered: Registered, _: HatchPerson, options: argparse.Namespace) -> None:
    """Write one line an index, without asking the network."""
    used = {index.name for index in _used(registered)}
    for index, login in logins(registered):
        mark = ", named by this project" if index.name in used else ""
        _write(f"{index.name}  {index.url}  {login}{mark}")


def _login(registered: Registered, person: HatchPerson, options: argparse.Namespace) -> None:
    """Log in, and say as whom."""
    for line in log_in_to(registered, person, _chosen(registered, options), even_so=options.force):
        _write(line)


def _logout(registered: Registered, person: HatchPerson, options: argparse.Namespace) -> None:
    """Log out, and say whether the provider knows."""
    for line in log_out_of(registered, person, _chosen(registered, options)):
        _write(line)


def _trust(registered: Registered, person: HatchPerson, options: argparse.Namespace) -> None:
    """Register it, or say that there is nothing to do."""
    if said := trust_claimed(registered, crane_table(_project()), person, agreed=options.yes):
        _write(said)


def _chosen(registered: Registered, options: argparse.Namespace) -> list[Index]:
    return chosen_indexes(registered, options.index, lambda: _used(registered))


def _used(registered: Registered) -> list[Index]:
    configured = read_pip_configuration(registered.environ, Path.home())
    urls = named_by_project(_project(), registered.environ, configured)
    return registered.configuration.named_by(urls)


def _project() -> Path:
    """Return the project that we are in, as Hatch finds it; else this folder."""
    here = Path.cwd()
    found = (f for f in (here, *here.parents) if (f / "pyproject.toml").is_file())
    return next(found, here)


def _write(text: str) -> None:
    print(text)  # noqa: T201
