"""The parts of the reference that are made from the code: what is true once is written once.

The page of commands is made at each build of the site. The tables of `TABLES` stand in pages that
are written by hand, so that they can be read without the site; `fill` puts them between
`<!-- from the code: NAME … -->` and `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from crane_cli.exit_codes import exit_codes
from crane_cli.main import parser
from crane_core.config.keys import KEYS
from crane_core.variables import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REGION = re.compile(r"(<!-- from the code: (\w+)[^>]*-->\n).*?(<!-- end -->)", re.DOTALL)
COLUMNS = 96


def fill(text: str) -> str:
    """Return a page with its tables as the code has them now."""
    return REGION.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", text)


def errors() -> str:
    """Return all errors with their exit codes."""
    return _table(
        ("code", "name", "meaning"),
        [(str(one.code), f"`{one.name}`", one.meaning) for one in exit_codes()],
    )


def keys() -> str:
    """Return the keys of an index in the configuration file."""
    rows = [(_names(key.names), key.meaning, key.otherwise) for key in KEYS]
    return _table(("key", "meaning", "if left out"), rows)


def variables() -> str:
    """Return the environment variables that are meant to be set by people."""
    rows = [(_names(v.names), v.meaning) for v in VARIABLES if v.for_people]
    return _table(("variable", "meaning"), rows)


TABLES = {"errors": errors, "keys": keys, "variables": variables}


def commands() -> str:
    """Return the page of all commands with their options, as their own `--help` has them."""
    top = parser()
    parts = [
        "# Commands\n",
        "Made from the program's own help. What a failure returns: [exit codes](exit-codes.md).\n",
        _block(top.format_help()),
    ]
    for command in _leaves(top):
        parts += [f"## {command.prog}\n", *_described(command)]
    return "\n".join(parts)


def _leaves(top: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in top._actions:  # noqa: SLF001 - argparse has no public way to its commands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for child in dict.fromkeys(action.choices.values()):
                deeper = list(_leaves(child))
                yield from deeper or [child]


def _described(command: argparse.ArgumentParser) -> Iterator[str]:
    description, epilog = command.description or "", command.epilog or ""
    # Verbatim in the help; here it is prose, and only the rest a block.
    command.description = None
    yield f"{' '.join(description.split(chr(10) * 2)[0].split())}\n"
    for more in description.split("\n\n")[1:]:
        yield f"{' '.join(more.split())}\n"
    command.epilog = epilog or None
    yield _block(command.format_help())
    command.description = description


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"
