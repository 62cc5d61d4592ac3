"""`crane login`: log in to an index, in the browser."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_index, add_json, command
from crane_cli.result import Result

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context
    from crane_core.auth.model import Session
    from crane_core.config.model import Index


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = command(commands, "login", run, "log in to an index")
    add_index(parser, "the only or default one if left out")
    parser.add_argument("--force", action="store_true", help="log in again if already logged in")
    add_json(parser)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Log in, unless somebody is."""
    configuration = here.config.load()
    index = configuration.find(args.index) if args.index else configuration.only_or_default()
    session, is_new = asyncio.run(_login(here, index, force=args.force))
    who = session.tokens.account or "somebody"
    said = "logged in to" if is_new else "already logged in to"
    data = {"index": index.name, "account": session.tokens.account, "new": is_new}
    return Result(f"{said} {index.name} as {who}", data)


async def _login(here: Context, index: Index, *, force: bool) -> tuple[Session, bool]:
    from crane_cli.context import auth
    from crane_core.errors import LoginNeeded

    async with auth(here) as parts:
        if not force:
            try:
                await parts.broker.access_token(index)
            except LoginNeeded:
                pass
            else:
                session = parts.broker.session(index)
                assert session is not None
                return session, False
        return await parts.login.run(index), True
