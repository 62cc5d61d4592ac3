"""`crane logout`: revoke and forget a login."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_index, add_json, command
from crane_cli.result import Result

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context
    from crane_core.config.model import Index


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = command(commands, "logout", run, "revoke a login and delete its tokens")
    add_index(parser, "the only or default one if left out")
    parser.add_argument("--account", help="log out this one of several accounts")
    parser.add_argument("--all", action="store_true", help="log out of every index")
    add_json(parser)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Log out; the tokens are deleted here even if the provider cannot be asked."""
    configuration = here.config.load()
    if args.all:
        indexes = list(configuration)
    else:
        one = configuration.find(args.index) if args.index else configuration.only_or_default()
        indexes = [one]
    if args.account is not None:
        indexes = [replace(index, account=args.account) for index in indexes]
    problems = asyncio.run(log_out(here, indexes))
    lines = [
        f"logged out of {index.name}"
        + (f"; not revoked at the provider: {problems[index.name]}" if problems[index.name] else "")
        for index in indexes
    ]
    data = [{"index": i.name, "revocation_problem": problems[i.name]} for i in indexes]
    return Result("\n".join(lines), data)


async def log_out(here: Context, indexes: list[Index]) -> dict[str, str | None]:
    """Log out of these indexes. Returns for each why it was not revoked, None if it was."""
    from crane_cli.context import auth
    from crane_core.auth.login import Logout

    async with auth(here) as parts:
        logout = Logout(parts)
        return {index.name: await logout.run(index) for index in indexes}
