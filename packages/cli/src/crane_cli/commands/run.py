"""`crane run -- CMD …`: any command, with the registered indexes behind their real URLs."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import command
from crane_cli.result import Result
from crane_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crane_cli.context import Context
    from crane_core.clients.prepared import Prepared
    from crane_core.config.model import Configuration, Index

DESCRIPTION = """\
Runs a command that reaches the registered indexes under their real URLs, logged in, and every
other host as before. It has this terminal, gets its own signals, and its exit code is returned.
"""


EXAMPLES = """
crane run -- poetry lock
crane run --index firm -- tox -e py312
"""


def add_parser(commands: Any) -> None:
    """Add the command; what follows the command's name is its own."""
    summary = "run any command with the registered indexes"
    parser = command(commands, "run", run, summary, EXAMPLES, description=DESCRIPTION)
    parser.add_argument(
        "--index", metavar="INDEX", action="append", help="only this one (again for more)"
    )
    parser.add_argument("command", metavar="COMMAND …", nargs=argparse.REMAINDER)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Become the command, in the environment of a view of its own."""
    arguments = args.command
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    elif arguments and arguments[0].startswith("-"):
        raise UsageError(
            f"{arguments[0]} is no option of crane run", hint="run: crane run -- COMMAND …"
        )
    if not arguments:
        raise UsageError("no command is given", hint="run: crane run -- COMMAND …")
    configuration = here.config.load()
    named = chosen_indexes(configuration, args.index)
    only = list(configuration) if len(configuration.indexes) == 1 else []
    return Result(exit_code=start(here, configuration, arguments, named, named or only))


def chosen_indexes(configuration: Configuration, names: Sequence[str] | None) -> list[Index]:
    """Return the indexes that `--index` names, none if it names none. Raises `NotRegistered`."""
    from crane_core.config.model import none_registered

    if not configuration.indexes:
        raise none_registered()
    return [configuration.find(name) for name in names or ()]


def start(
    here: Context,
    configuration: Configuration,
    arguments: Sequence[str],
    opened: Sequence[Index],
    logged_in: Sequence[Index],
    *,
    program: str | None = None,
    hides_secrets: bool = False,
    more: Mapping[str, str] | None = None,
) -> int:
    """Hand over to a command in a view of `opened`, of all indexes if that is empty.

    At those of `logged_in` somebody logs in first, if need be and if a person is there. `more` are
    further variables for it.
    """
    from crane_core.clients.child_environment import without_secrets
    from crane_core.clients.handover import find_command, hand_over
    from crane_core.gateway.views import Wish

    program = program or find_command(arguments[0], here.environ)
    names = tuple(index.name for index in opened) or None
    with prepared(here, Wish(indexes=names, owner=os.getpid())) as ready:
        ensure_logins(here, configuration, ready, opened or list(configuration), logged_in)
        environ = {**ready.environ, **(more or {})}
        if hides_secrets:
            environ = without_secrets(environ)
        return hand_over(program, arguments, environ)


def prepared(here: Context, wish: Any) -> Prepared:
    """Open a view for this user."""
    from crane_core.clients.prepared import prepare

    shared = here.outer.shared if here.outer else None
    return prepare(here.paths, here.environ, wish, notice=here.prompt.notice, shared=shared)


def ensure_logins(
    here: Context,
    configuration: Configuration,
    ready: Prepared,
    opened: Sequence[Index],
    logged_in: Sequence[Index],
) -> None:
    """Log in where that is known to be needed, before a prompt would stand in a progress bar."""
    from crane_core.agent.client import AgentLost

    try:
        needed = ready.agent.logins_needed([index.name for index in opened])
    except AgentLost:
        return  # the child's first request will tell
    asked = {index.name for index in logged_in} if here.prompt.can_answer else set()
    for name in needed:
        if name in asked:
            _log_in(here, configuration.find(name))
    if left := [name for name in needed if name not in asked]:
        commands = ", ".join(f"crane login {name}" for name in left)
        here.prompt.notice(f"nobody is logged in at {', '.join(left)}; run: {commands}")


def _log_in(here: Context, index: Index) -> None:
    import asyncio

    from crane_cli.context import ensure_login

    asyncio.run(ensure_login(here, index))
