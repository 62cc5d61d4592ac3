"""`crane vault`: where logins are kept, and how to move them."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_json, command
from crane_cli.result import Result

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context
    from crane_core.auth.vault import Vault


EXAMPLES = """
crane vault           where they are
crane vault keyring   move them to the system's keyring
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = command(commands, "vault", run, "show where logins are kept, or move them", EXAMPLES)
    parser.add_argument(
        "target", nargs="?", choices=("file", "keyring"), help="move all logins there"
    )
    add_json(parser)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Show the place, or move what is in it: all is written before anything is deleted."""
    from crane_cli.context import vault
    from crane_core.auth.keyring_backend import find_backend
    from crane_core.auth.vault import named_vault, present_vault, remember_vault

    # Not what the file `vault` will name once they are moved.
    source = present_vault(vault(here)[0])
    if args.target is None:
        say_if_vaults_disagree(here)
        return Result(f"logins are kept in {source.place}", {"place": source.place, "moved": 0})
    target = named_vault(args.target, here.paths.sessions, find_backend)
    moved = 0
    if type(target) is type(source):
        remember_vault(here.paths.data, args.target)
    else:
        moved = asyncio.run(_move(args.target, here, source, target))
    say_if_vaults_disagree(here)
    data = {"place": target.place, "moved": moved}
    return Result(f"{moved} moved; logins are kept in {target.place}", data)


def say_if_vaults_disagree(here: Context) -> None:
    """Say in one line that this process looks for logins elsewhere than others do, if it does."""
    from crane_core.auth.vault import disagreement

    if (said := disagreement(here.environ, here.paths.data)) is not None:
        here.prompt.notice(said)


async def _move(name: str, here: Context, source: Vault, target: Vault) -> int:
    """Move every login and client secret, while no other process refreshes one of them."""
    from crane_core.auth.credentials import secret_name
    from crane_core.auth.sessions import SessionStore
    from crane_core.auth.vault import move, remember_vault

    store, indexes = SessionStore(here.paths.sessions, source), list(here.config.load())
    keys = {key.digest: key for index in indexes for key in store.accounts(index)}
    waiting = partial(here.prompt.notice, "waiting for another crane process to refresh a login")
    async with contextlib.AsyncExitStack() as locks:
        for _, key in sorted(keys.items()):
            await locks.enter_async_context(store.lock(key, "refresh", timeout=60, notice=waiting))
        names = dict.fromkeys([*keys, *map(secret_name, indexes)])
        return move(names, source, target, partial(remember_vault, here.paths.data, name))
