"""`crane pip …`: any pip command, with a registered index as pip's index."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import command
from crane_cli.result import Result
from crane_core.errors import CommandNotExecutable, InterpreterNotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crane_cli.context import Context

DESCRIPTION = """\
Runs pip with its own options, output and exit code. Which pip: --python's, else the active
environment's, else that of the first python on PATH; `crane pip --version` says which.
pip reaches the index under its real URL. With --route index it is given the URL of a gateway on
this machine instead, which needs neither a proxy variable nor an agent.
"""
EXAMPLES = """
crane pip install our-package
crane pip install -r requirements.txt
crane pip --python .venv/bin/python download our-package==1.2
crane pip --route index install our-package
"""
ROUTES = ("forward", "index")


def add_parser(commands: Any) -> None:
    """Add the command; what follows it is pip's, to the letter."""
    summary = "run pip with a registered index"
    parser = command(commands, "pip", run, summary, EXAMPLES, description=DESCRIPTION)
    parser.prefix_chars = "\0"  # no argument behind `pip` is an option of ours
    parser.add_argument("arguments", metavar="…", nargs=argparse.REMAINDER)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Run pip: by itself where no index is needed, else by the route that is asked for."""
    from crane_core.clients.interpreter import find_python, probe
    from crane_core.clients.pip_arguments import read_arguments

    route, arguments = split_off("--route", args.arguments)
    if route not in {None, *ROUTES}:
        raise UsageError(f"there is no route {route!r}", hint=f"use one of {', '.join(ROUTES)}")
    explicit, arguments = split_off("--python", arguments)
    python = find_python(here.environ, explicit)
    command_line = read_arguments(arguments)
    if not command_line.needs_index:
        return Result(exit_code=_become([python, "-m", "pip", *arguments], here))
    configuration = here.config.load()
    pip = probe(python, here.environ, isolated=command_line.is_isolated)
    if route == "index":
        from crane_cli.pip_index_route import run as run_route
    else:
        from crane_cli.pip_forward_route import run as run_route
    return Result(exit_code=run_route(here, configuration, command_line, pip))


def split_off(name: str, arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Take an option of ours and its value out, wherever it stands among pip's."""
    rest, found = [], None
    following = iter(arguments)
    for argument in following:
        if argument == "--":
            rest += [argument, *following]
        elif argument == name:
            found = next(following, "")
        elif argument.startswith(f"{name}="):
            found = argument.partition("=")[2]
        else:
            rest.append(argument)
    return found, rest


def _become(command_line: list[str], here: Context) -> int:
    """Let pip take this process's place; on Windows, which has no such thing, wait for it."""
    from crane_core.clients.handover import hand_over

    try:
        return hand_over(command_line[0], command_line, here.environ)
    except CommandNotExecutable as error:
        raise InterpreterNotFound(error.message, hint="give another with --python PATH") from error
