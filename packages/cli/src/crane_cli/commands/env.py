"""`crane env`: what `crane run` gives a command, for the shell that you are in."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import command
from crane_cli.result import Result
from crane_cli.shells import SHELLS
from crane_core.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context

DESCRIPTION = """\
Prints the variables that crane run gives a command, for your shell to read. `crane env --unset`, in
the same way, takes them back. They last for 12 hours at most.
"""
EXAMPLES = """
eval "$(crane env)"                                      bash, zsh
crane env | source                                       fish
crane env | Out-String | Invoke-Expression               PowerShell
for /f "delims=" %i in ('crane env --shell cmd') do %i   cmd
crane env --shell github                                 a step of GitHub Actions
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    summary = "print the variables of crane run, for your shell"
    parser = command(commands, "env", run, summary, EXAMPLES, description=DESCRIPTION)
    parser.add_argument("--shell", choices=SHELLS, help="found out if left out")
    parser.add_argument(
        "--index", metavar="INDEX", action="append", help="only this one (again for more)"
    )
    parser.add_argument("--unset", action="store_true", help="take the variables back")


def run(args: argparse.Namespace, here: Context) -> Result:
    """Print the lines that the shell is to read."""
    from crane_cli.shells import guess_shell

    shell = args.shell or guess_shell(here.environ)
    if shell == "github" and not here.environ.get("GITHUB_ENV"):
        raise UsageError("GITHUB_ENV is not set", hint="this is for a step of GitHub Actions")
    if args.unset:
        return _unset(shell, here)
    return _set(args, shell, here)


def _set(args: argparse.Namespace, shell: str, here: Context) -> Result:
    from crane_cli.commands.run import chosen_indexes, ensure_logins, prepared
    from crane_cli.shells import lines
    from crane_core.gateway.views import Wish

    configuration = here.config.load()
    named = chosen_indexes(configuration, args.index)
    names = tuple(index.name for index in named) or None
    before = _shell_view(here)
    ready = prepared(here, Wish(indexes=names))
    # What an outer crane has set and this one does not becomes what it was before.
    restored = {n: here.environ.get(n) for n in here.changed if n not in ready.changes}
    only = list(configuration) if len(configuration.indexes) == 1 else []
    try:
        ensure_logins(here, configuration, ready, named or list(configuration), named or only)
        written = lines(shell, {**restored, **ready.changes})
        result = _give(shell, written, here, secret=ready.view.opened.secret.reveal())
    except BaseException:
        ready.close()
        raise
    # Not closed: the view is the shell's from now on.
    ready.agent.close()
    _close(here, before)
    return result


def _unset(shell: str, here: Context) -> Result:
    from crane_cli.shells import lines

    if not here.changed:
        here.prompt.notice("there is nothing to take back: crane env is not in force here")
        return Result()
    values = {name: here.environ.get(name) for name in here.changed}
    if shell in {"github", "dotenv"}:
        values = {name: _instead(name, value) for name, value in values.items()}
    _close(here, _shell_view(here))
    return _give(shell, lines(shell, values), here)


def _instead(name: str, value: str | None) -> str | None:
    """Return a value for a variable that cannot be taken away: an empty file name is an error."""
    from crane_core.clients.trust import VARIABLES, system_roots

    if value is None and name in VARIABLES:
        return next((path for path, _ in system_roots() if Path(path).is_file()), None)
    return value


def _give(shell: str, written: list[str], here: Context, secret: str = "") -> Result:
    if shell != "github":
        if sys.stdout.isatty():
            here.prompt.notice("this is for your shell to read; crane env --help says how")
        return Result("\n".join(written))
    if secret:
        # Before anything else: what the runner has been told, it keeps out of every log.
        print(f"::add-mask::{secret}", flush=True)
    path = Path(here.environ["GITHUB_ENV"])
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write("\n".join([*written, ""]))
    except OSError as error:
        problem = f"{path} cannot be written: {error.strerror}"
        raise UsageError(problem, hint="check GITHUB_ENV") from error
    return Result()


def _shell_view(here: Context) -> str | None:
    """Return the view of the `crane env` in force here, None for that of a `crane run`."""
    from crane_core.agent.client import AgentLost
    from crane_core.agent.start import running

    name = here.outer.view if here.outer else None
    if name is None:
        return None
    with contextlib.suppress(AgentLost):
        for agent in running(here.paths):
            for view in agent.status()["views"]:
                if view["name"] == name and not view["owners"]:
                    return name
    return None


def _close(here: Context, view: str | None) -> None:
    from crane_core.agent.client import AgentLost
    from crane_core.agent.start import running

    if view is None:
        return
    with contextlib.suppress(AgentLost):
        for agent in running(here.paths):
            agent.close_view(view)
