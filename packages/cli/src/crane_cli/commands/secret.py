"""`crane index secret`: keep a client secret where logins are kept."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_json, command
from crane_cli.result import Result
from crane_core.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context


EXAMPLES = """
crane index secret firm               asks for it
crane index secret firm < secret.txt  reads it; an argument would show in ps
crane index secret firm --delete
"""


def add_parser(actions: Any) -> None:
    """Add the command."""
    summary = "store the client secret of an index"
    parser = command(actions, "secret", run, summary, EXAMPLES, group="index")
    parser.add_argument("index", metavar="INDEX", help="name or URL")
    parser.add_argument("--delete", action="store_true", help="delete it")
    add_json(parser)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Read the secret from standard input, or ask for it; it is never an argument (`ps`)."""
    from crane_cli.context import vault as vault_of
    from crane_core.auth.credentials import secret_name

    index = here.config.load().find(args.index)
    vault, settle = vault_of(here)
    if args.delete:
        vault.delete(secret_name(index))
        return Result(f"the client secret of {index.name} is deleted", {"index": index.name})
    value = _read_secret()
    vault = settle(here.prompt.notice) if settle else vault
    vault.write(secret_name(index), value.encode())
    text = f"the client secret of {index.name} is kept in {vault.place}"
    return Result(text, {"index": index.name, "place": vault.place})


def _read_secret() -> str:
    if sys.stdin.isatty():
        from getpass import getpass

        value = getpass("Client secret: ")
    else:
        value = sys.stdin.readline().rstrip("\r\n")
    if not value or not value.isprintable():
        raise UsageError("no secret was given", hint="pipe it in, or type it at the prompt")
    return value
