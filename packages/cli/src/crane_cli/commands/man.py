"""`crane man`: the manual page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import command
from crane_cli.result import Result

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context

EXAMPLES = """
crane man | man -l -                                      read it
crane man > ~/.local/share/man/man1/crane.1               for `man crane`
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    command(commands, "man", run, "print the manual page", EXAMPLES)


def run(_: argparse.Namespace, __: Context) -> Result:
    """Print it."""
    from crane_cli.completion.tree import tree_of
    from crane_cli.main import parser
    from crane_cli.manual import manual

    return Result(manual(tree_of(parser())))
