"""`crane token`: an access token for scripts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_index, command
from crane_cli.result import Result

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context
    from crane_core.config.model import Index


EXAMPLES = """
curl -H "Authorization: Bearer $(crane token firm)" https://crane.example.com/python/
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = command(commands, "token", run, "print a valid access token, for scripts", EXAMPLES)
    add_index(parser, "the only or default one if left out")


def run(args: argparse.Namespace, here: Context) -> Result:
    """Print a token, refreshed if need be; never start a login."""
    index = here.config.load().chosen(args.index)
    return Result(asyncio.run(_token(here, index)))


async def _token(here: Context, index: Index) -> str:
    from crane_cli.context import auth
    from crane_core.auth.broker import Broker

    async with auth(here) as parts, Broker(parts) as broker:
        token = await broker.access_token(index)
        # The one place where a token is shown: the user asked for nothing else.
        return token.reveal()
