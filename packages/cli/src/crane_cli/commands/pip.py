"""`crane pip …`: any pip command, with a registered index as pip's index."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import command
from crane_cli.result import Result

if TYPE_CHECKING:
    from crane_core.clients.interpreter import Pip
    from crane_core.clients.pip_arguments import PipCommand
    from crane_core.config.model import Configuration, Index
    from crane_core.gateway.events import Event

    from crane_cli.context import Context

DESCRIPTION = """\
Runs pip with its own options, output and exit code. Which pip: --python's, else the active
environment's, else that of the first python on PATH; `crane pip --version` says which.
"""


def add_parser(commands: Any) -> None:
    """Add the command; what follows it is pip's, to the letter."""
    parser = command(commands, "pip", run, "run pip with a registered index")
    parser.description = DESCRIPTION
    parser.prefix_chars = "\0"  # no argument behind `pip` is an option of ours
    parser.add_argument("arguments", metavar="…", nargs=argparse.REMAINDER)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Run pip: directly where no index is needed, else with a gateway beside it."""
    from crane_core.clients.interpreter import find_python, probe
    from crane_core.clients.pip import choose_index
    from crane_core.clients.pip_arguments import read_arguments

    explicit, arguments = split_python(args.arguments)
    python = find_python(here.environ, explicit)
    pip_command = read_arguments(arguments)
    if not pip_command.needs_index:
        return Result(exit_code=_become([python, "-m", "pip", *arguments]))
    configuration = here.config.load()
    pip = probe(python, here.environ)
    index = choose_index(configuration, pip_command, pip)
    _warn_of_extra_indexes(here, pip_command, pip)
    from crane_core.gateway.server import run as run_loop

    return Result(exit_code=run_loop(_install(here, configuration, index, pip, pip_command)))


def split_python(arguments: list[str]) -> tuple[str | None, list[str]]:
    """Take `--python VALUE` out: crane starts that interpreter's own pip."""
    rest, python = [], None
    following = iter(arguments)
    for argument in following:
        if argument == "--":
            rest += [argument, *following]
        elif argument == "--python":
            python = next(following, "")
        elif argument.startswith("--python="):
            python = argument.partition("=")[2]
        else:
            rest.append(argument)
    return python, rest


def _become(command_line: list[str]) -> int:  # noqa: RET503 - exec does not return
    """Let pip take this process's place; on Windows, which has no such thing, wait for it."""
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "win32":
        import subprocess

        return subprocess.call(command_line)
    else:  # noqa: RET505 - so that the type checker sees one platform at a time
        os.execv(command_line[0], command_line)  # noqa: S606 - no shell is what we want


def _warn_of_extra_indexes(here: Context, pip_command: PipCommand, pip: Pip) -> None:
    extra = pip_command.extra_index_urls or pip.setting("extra-index-url", pip_command.command)
    if extra:
        here.prompt.notice(
            "pip itself searches the extra indexes and takes the highest version of all: "
            "a private name may be taken from there"
        )


async def _install(
    here: Context, configuration: Configuration, index: Index, pip: Pip, pip_command: PipCommand
) -> int:
    from crane_core.clients.pip import child_environment, netrc_file, run_attached
    from crane_core.gateway.guard import Guard, loopback_hosts
    from crane_core.gateway.server import bind

    from crane_cli.gateway import my_uids, new_secret, running

    problems: list[str] = []

    def observe(event: Event) -> None:
        if event.problem and event.problem not in problems:
            problems.append(event.problem)

    await ensure_login(here, index)
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    secret = new_secret()
    guard = Guard(loopback_hosts(port), secret, my_uids())
    async with running(here, configuration, [index], listener, guard, observe):
        with netrc_file(here.environ, secret, Path.home()) as netrc_path:
            url = f"http://127.0.0.1:{port}/{index.name}/simple/"
            proxy = _proxy(pip_command, pip)
            options = ["--index-url", url, *(["--proxy", ""] if proxy is not None else [])]
            code = await run_attached(
                [pip.python, "-m", "pip", *pip_command.with_options(*options)],
                child_environment(here.environ, url, netrc_path, proxy),
            )
    # pip may show a part of it only, or nothing with -qq.
    for problem in problems:
        here.prompt.notice(problem)
    return code


async def ensure_login(here: Context, index: Index) -> None:
    """Log in before pip starts, so that the prompt does not stand in its progress bar."""
    from crane_core.errors import LoginNeeded

    from crane_cli.context import auth

    async with auth(here) as parts:
        try:
            await parts.broker.access_token(index)
        except LoginNeeded:
            await parts.login.run(index)


def _proxy(pip_command: PipCommand, pip: Pip) -> str | None:
    """Return the proxy that pip's own settings name; it must not stand before the gateway."""
    if pip_command.proxy is not None:
        return pip_command.proxy
    setting = pip.setting("proxy", pip_command.command)
    return setting[0] if setting else None
