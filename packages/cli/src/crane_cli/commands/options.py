"""Arguments that several commands share."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from crane_cli.context import Context
    from crane_cli.result import Result

    Run = Callable[[argparse.Namespace, Context], Result]


def command(
    commands: Any,
    name: str,
    run: Run,
    summary: str,
    examples: str,
    *,
    description: str = "",
    group: str = "",
) -> argparse.ArgumentParser:
    """Add a command: what it runs, and how it is used.

    `examples` are lines of the form `COMMAND   what it does`; `description` may have paragraphs,
    and is the summary if left out. `group` is the command of which this one is a part.
    """
    parser = _parser(commands, name, summary, examples, description)
    parser.set_defaults(run=run, command_name=f"{group} {name}".strip())
    return parser


def command_group(commands: Any, name: str, summary: str, examples: str) -> Any:
    """Add a command that has commands of its own; returns what they are added to."""
    parser = _parser(commands, name, summary, examples, "")
    return parser.add_subparsers(metavar="ACTION", required=True)


def _parser(
    commands: Any, name: str, summary: str, examples: str, description: str
) -> argparse.ArgumentParser:
    import argparse

    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=_filled(description or f"{summary[0].upper()}{summary[1:]}."),
        epilog=f"examples:\n{textwrap.indent(examples.strip(), '  ')}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser


def _filled(text: str) -> str:
    """Return paragraphs as wide as a usual terminal; argparse would make one of them all."""
    return "\n\n".join(textwrap.fill(part, 80) for part in text.strip().split("\n\n"))


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def add_index(parser: argparse.ArgumentParser, text: str) -> None:
    """Add the optional argument that names an index."""
    parser.add_argument("index", metavar="INDEX", nargs="?", help=f"name or URL; {text}")


def add_yes(parser: argparse.ArgumentParser) -> None:
    """Add the answer to the question whether a newly found identity provider is trusted."""
    parser.add_argument("--yes", "-y", action="store_true", help="trust the issuer that is found")
