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
    from crane_core.auth.context import AuthContext
    from crane_core.auth.model import SessionKey
    from crane_core.config.model import Index


EXAMPLES = """
crane logout firm
crane logout --all
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = command(commands, "logout", run, "revoke a login and delete its tokens", EXAMPLES)
    add_index(parser, "the only or default one if left out")
    parser.add_argument("--account", help="log out this one of several accounts")
    parser.add_argument("--all", action="store_true", help="log out of every index")
    add_json(parser)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Log out; the tokens are deleted here even if the provider cannot be asked."""
    configuration = here.config.load()
    indexes = list(configuration) if args.all else [configuration.chosen(args.index)]
    if args.account is not None:
        indexes = [replace(index, account=args.account) for index in indexes]
    names = {index.name for index in indexes}
    others = [index for index in configuration if index.name not in names]
    problems = asyncio.run(_log_out(here, indexes, others))
    lines = [_said(index, others, problems[index.name]) for index in indexes]
    data = [{"index": i.name, "revocation_problem": problems[i.name]} for i in indexes]
    return Result("\n".join(lines), data)


def _said(index: Index, others: list[Index], problem: str | None) -> str:
    from crane_core.auth.model import session_key

    sharing = [other.name for other in others if session_key(other) == session_key(index)]
    return (
        f"logged out of {index.name}"
        + (f", and of {', '.join(sharing)}, with the same login" if sharing else "")
        + (f"; not revoked at the provider: {problem}" if problem else "")
    )


async def _log_out(
    here: Context, indexes: list[Index], others: list[Index]
) -> dict[str, str | None]:
    """Log out of these indexes. Returns for each why it was not revoked, None if it was."""
    from crane_cli.context import auth
    from crane_core.auth.model import session_key

    used = {session_key(other) for other in others}
    async with auth(here) as parts:
        return {
            # Its own login ends, whoever shares it: that is what was asked for.
            index.name: await _end(here, parts, index, used - {session_key(index)})
            for index in indexes
        }


async def forget_sessions(here: Context, before: Index, after: Index | None = None) -> str | None:
    """End the logins of a registration that is removed, or changed to `after`.

    Those stay that another registered index uses. An index that names no account has all logins
    that no other names, one that names an account has that one; the last at a place takes all with
    it, so that no token outlives its entry. Another account alone ends nothing: it is a choice
    between logins. Returns why one was not revoked, None if all were.
    """
    from crane_cli.context import auth
    from crane_core.auth.model import session_key

    place = session_key(replace(before, account=None))
    if after is not None and session_key(replace(after, account=None)) == place:
        return None
    gone = {before.name, after.name if after else before.name}
    used = {session_key(index) for index in here.config.load() if index.name not in gone}
    is_last = all(replace(key, account=None) != place for key in used)
    if session_key(before) in used:
        return None
    ending = replace(before, account=None) if is_last else before
    async with auth(here) as parts:
        return await _end(here, parts, ending, used)


async def _end(
    here: Context, parts: AuthContext, index: Index, spared: set[SessionKey]
) -> str | None:
    """End an index's login, or all of its accounts but the spared ones if it names none.

    What the cache was given for them is theirs no more: the next login has to ask anew.
    """
    from crane_core.auth.broker import identity_prefix
    from crane_core.auth.login import Logout
    from crane_core.auth.model import session_key
    from crane_core.cache.contacts import forget_login

    store = parts.store.sparing(spared)
    keys = [session_key(index)] if index.account is not None else store.accounts(index)
    problem = await Logout(replace(parts, store=store)).run(index)
    for key in keys:
        forget_login(here.paths.cache, identity_prefix(key))
    return problem
