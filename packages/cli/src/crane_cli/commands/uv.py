"""`crane uv …`: uv, with the registered indexes behind their real URLs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import command
from crane_cli.commands.run import chosen_indexes, start
from crane_cli.result import Result
from crane_core.errors import CommandNotFound
from crane_core.programs import find_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crane_cli.context import Context
    from crane_core.clients.uv_indexes import UvCommand
    from crane_core.config.model import Configuration, Index

DESCRIPTION = """\
Runs the uv on PATH with its own options, output and exit code; the same as `crane run -- uv …`,
and logs in first at registered indexes that the project's uv configuration names.
"""
EXAMPLES = """
crane uv sync
crane uv add our-package
"""
FOLDER_OPTIONS = ("--project", "--directory")


def add_parser(commands: Any) -> None:
    """Add the command; what follows it is uv's, to the letter."""
    summary = "run uv with the registered indexes"
    parser = command(commands, "uv", run, summary, EXAMPLES, description=DESCRIPTION)
    parser.prefix_chars = "\0"  # no argument behind `uv` is an option of ours
    parser.add_argument("arguments", metavar="…", nargs=argparse.REMAINDER)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Become uv."""
    program = find_program("uv", here.environ.get("PATH", os.defpath))
    if program is None:
        raise CommandNotFound(
            "uv: command not found", hint="get it with: pip install uv, or see docs.astral.sh/uv"
        )
    configuration = here.config.load()
    chosen_indexes(configuration, None)  # says it if there is none
    uv = uv_command(args.arguments, here.environ)
    only = list(configuration) if len(configuration.indexes) == 1 else []
    code = start(
        here, configuration, ["uv", *args.arguments], [], named_indexes(configuration, uv) or only,
        program=program, hides_secrets=True, more=uv.placeholders(configuration),
    )  # fmt: skip
    return Result(exit_code=code)


def uv_command(arguments: Sequence[str], environ: Mapping[str, str]) -> UvCommand:
    """Return a uv command line, in the folder that it names or in this one."""
    from crane_core.clients.uv_indexes import UvCommand, option_values

    folder = Path.cwd()
    for value in option_values(arguments, FOLDER_OPTIONS):
        folder /= value
    return UvCommand(arguments, environ, folder)


def named_indexes(configuration: Configuration, uv: UvCommand) -> list[Index]:
    """Return the registered indexes that a uv command names."""
    return configuration.named_by([*uv.indexes, *uv.default_indexes])
