"""`crane completion`: a script with which a shell completes crane's commands."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import command
from crane_cli.result import Result

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context

SHELLS = ("bash", "zsh", "fish", "powershell")
DESCRIPTION = """\
Prints a script with which your shell completes crane's commands, options, values and the names of
your indexes. The script is made once; only for names it asks crane.
"""
EXAMPLES = """
echo 'eval "$(crane completion bash)"' >> ~/.bashrc
crane completion zsh > ~/.zfunc/_crane     a folder of fpath, before compinit
crane completion fish > ~/.config/fish/completions/crane.fish
crane completion powershell | Out-String | Invoke-Expression     in $PROFILE
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    summary = "print a completion script for your shell"
    parser = command(commands, "completion", run, summary, EXAMPLES, description=DESCRIPTION)
    parser.add_argument("shell", nargs="?", choices=SHELLS, help="found out if left out")
    # For the scripts: it says nothing else, whatever is wrong.
    parser.add_argument("--indexes", action="store_true", help="print the names of the indexes")


def run(args: argparse.Namespace, here: Context) -> Result:
    """Print the script, or the names."""
    if args.indexes:
        return Result("\n".join(_names(here)))
    from crane_cli.completion.tree import tree_of
    from crane_cli.main import parser
    from crane_cli.shells import guess_shell

    shell = args.shell or guess_shell(here.environ)
    module = importlib.import_module(f"crane_cli.completion.{shell if shell in SHELLS else 'bash'}")
    return Result(module.script(tree_of(parser())).rstrip("\n"))


def _names(here: Context) -> list[str]:
    from crane_core.errors import CraneError

    try:
        return list(here.config.load().indexes)
    except CraneError:
        return []
