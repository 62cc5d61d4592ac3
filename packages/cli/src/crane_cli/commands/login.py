"""`crane login`: log in to an index, in the browser."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_index, add_json, command
from crane_cli.result import Result
from crane_core.config.model import GRANTS

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context
    from crane_core.auth.model import Session
    from crane_core.config.model import Index


EXAMPLES = """
crane login                        the only index, or the default one
crane login firm --no-browser      show an address and a code
crane login firm --account build   one of several accounts
crane login --non-interactive      in a script: fail if a person is needed
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = command(commands, "login", run, "log in to an index", EXAMPLES)
    add_index(parser, "the only or default one if left out")
    parser.add_argument("--force", action="store_true", help="log in again if already logged in")
    parser.add_argument("--grant", metavar="GRANT", choices=GRANTS, help=", ".join(GRANTS))
    parser.add_argument("--account", help="log in with this one of several accounts")
    parser.add_argument(
        "--no-browser", action="store_true", help="open no browser; show an address and a code"
    )
    parser.add_argument(
        "--non-interactive", action="store_true", help="fail at once if a person is needed"
    )
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="wait no longer than that")
    add_json(parser)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Log in, unless somebody is."""
    from crane_cli.commands.vault import say_if_vaults_disagree

    index = here.config.load().chosen(args.index)
    if args.account is not None:
        index = replace(index, account=args.account)
    if args.grant is not None:
        # For the broker too, which would else take the first grant that needs no person.
        index = replace(index, grant=args.grant)
    here.prompt.use_browser = here.prompt.use_browser and not args.no_browser
    here.prompt.interactive = here.prompt.interactive and not args.non_interactive
    say_if_vaults_disagree(here)
    session, is_new = asyncio.run(_login(args, here, index))
    account = session.tokens.account if session else None
    data = {"index": index.name, "account": account, "new": is_new}
    if session is None:
        return Result(f"{index.name} uses a token that was set for it", data)
    said = "logged in to" if is_new else "already logged in to"
    if is_new:
        _say_if_somebody_else(here, index, session)
    who = with_label(account or "somebody", index.account)
    return Result(f"{said} {index.name} as {who}", data)


def with_label(who: str, label: str | None) -> str:
    """Return who is logged in, with the name that the user has given the account."""
    return f"{who} (account {label})" if label and label != who else who


def _say_if_somebody_else(here: Context, index: Index, session: Session) -> None:
    """Say that another user than the account's name has logged in.

    The name may be a nickname, and is nothing that the provider has promised: no refusal.
    """
    if index.account is None:
        return
    names = _names(session)
    if names and index.account.casefold() not in names:
        here.prompt.notice(
            f"{session.tokens.account or 'somebody'} has logged in at {index.name}, not "
            f"{index.account}; if that is the wrong user, log out at the provider in your browser, "
            f"then run: crane login {index.name} --account {index.account} --force"
        )


def _names(session: Session) -> set[str]:
    """Return what the provider calls the user, as far as the session tells; for people only."""
    from joserfc import jws
    from joserfc.errors import JoseError

    from crane_core.http import json_object

    subject = session.identity.subject if session.identity else None
    names: list[Any] = [session.tokens.account, subject]
    try:
        token = jws.extract_compact(session.tokens.access_token.reveal().encode())
    except (JoseError, ValueError):
        pass  # an opaque one, which says nothing
    else:
        claims = json_object(token.payload) or {}
        names += [claims.get(name) for name in ("preferred_username", "email", "upn", "sub")]
    return {name.casefold() for name in names if isinstance(name, str) and name}


async def _login(
    args: argparse.Namespace, here: Context, index: Index
) -> tuple[Session | None, bool]:
    from crane_cli.context import auth
    from crane_core.auth.broker import Broker
    from crane_core.auth.credentials import ready_token
    from crane_core.auth.login import Login
    from crane_core.errors import LoginNeeded

    async with auth(here) as parts, Broker(parts) as broker:
        if await ready_token(index, here.environ) is not None:
            return None, False
        if not args.force:
            before = broker.session(index)
            try:
                await broker.access_token(index)
            except LoginNeeded:
                pass
            else:
                return broker.session(index), before is None
        async with here.prompt.waiting(args.timeout):
            return await Login(parts, timeout=args.timeout).run(index), True
