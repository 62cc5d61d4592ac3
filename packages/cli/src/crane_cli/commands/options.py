"""Arguments that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from crane_cli.context import Context
    from crane_cli.result import Result

    Run = Callable[[argparse.Namespace, Context], Result]


def command(
    commands: Any, name: str, run: Run, summary: str, *, full_name: str | None = None
) -> argparse.ArgumentParser:
    """Add a command and say what it runs."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
    )
    parser.set_defaults(run=run, command_name=full_name or name)
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def add_index(parser: argparse.ArgumentParser, text: str) -> None:
    """Add the optional argument that names an index."""
    parser.add_argument("index", metavar="INDEX", nargs="?", help=f"name or URL; {text}")
