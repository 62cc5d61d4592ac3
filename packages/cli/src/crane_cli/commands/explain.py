"""`crane explain`: what crane would do with a URL, and why, without doing it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_json, command
from crane_cli.result import Result
from crane_core.errors import CraneError, LoginNeeded

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context
    from crane_core.auth.context import AuthContext
    from crane_core.config.model import Configuration, Index


SUMMARY = "say which index, login and source a URL gets"
EXAMPLES = """
crane explain https://crane.example.com/python
crane explain https://crane.example.com/python our-package --json
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = command(commands, "explain", run, SUMMARY, EXAMPLES)
    parser.add_argument("url", metavar="URL", help="of an index, page or file; or an index's name")
    parser.add_argument("project", metavar="PROJECT", nargs="?", help="a project of that index")
    add_json(parser)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Explain; the exit code is 4 if a login is needed."""
    configuration = here.config.load()
    named = configuration.indexes.get(args.url)
    url = named.url if named else args.url
    index, why = which_index(configuration, url)
    data: dict[str, Any] = {"url": url, "index": index.name if index else None, "why": why}
    lines = [f"index    {index.name if index else 'none'}: {why}"]
    if index is None:
        return Result("\n".join(lines), data)
    login = asyncio.run(_explain_login(here, index))
    data["login"], data["source"] = login, _explain_source(here, index, args.project)
    lines += [f"account  {login['account'] or '-'}", f"login    {login['state']}"]
    lines += [f"  grant  {g['grant']}: {g['why_not'] or 'can be used'}" for g in login["grants"]]
    lines += [f"source   {data['source']}"]
    return Result("\n".join(lines), data, 0 if login["good"] else LoginNeeded.exit_code)


def which_index(configuration: Configuration, url: str) -> tuple[Index | None, str]:
    """Return the index whose token would go to this URL, and the reason."""
    from crane_core.urls import origin_of, within

    for index in configuration:
        if within(url, index.token_prefix):
            return index, f"the URL is below {index.token_prefix}"
    near = [index for index in configuration if origin_of(index.url) == origin_of(url)]
    if near:
        return None, f"same host as {near[0].name}, but not below {near[0].token_prefix}"
    return None, "no registered index has that host; no token would be sent"


async def _explain_login(here: Context, index: Index) -> dict[str, Any]:
    from crane_cli.context import auth
    from crane_core.auth.credentials import is_ready_made

    async with auth(here) as parts:
        session = parts.store.read_for(index)
        account = session.tokens.account if session else index.account
        if is_ready_made(index, here.environ):
            state, good, grants = "a token was set for it", True, []
        else:
            state, good = _session_state(here, session)
            grants = await _grants(parts, index)
            good = good or any(not g["why_not"] and not g["interactive"] for g in grants)
    return {"account": account, "state": state, "good": good, "grants": grants}


def _session_state(here: Context, session: Any) -> tuple[str, bool]:
    now = here.clock.now()
    if session is None:
        return "nobody is logged in", False
    if session.tokens.is_fresh(now):
        return "the access token is good", True
    if session.tokens.refresh_token is not None:
        return "the access token is due; it would be refreshed", True
    return "the login has ended", session.tokens.is_valid(now)


async def _grants(parts: AuthContext, index: Index) -> list[dict[str, Any]]:
    from crane_core.auth.discovery import index_provider

    try:
        provider = await index_provider(parts.client(index), index)
    except CraneError as error:
        return [{"grant": "any", "why_not": error.line, "interactive": False}]
    return [
        {
            "grant": verdict.grant.name,
            "why_not": _why_not(index, verdict.grant.name, verdict.why_not),
            "interactive": verdict.grant.interactive,
        }
        for verdict in parts.chooser.verdicts(index, provider, parts.store.read_for(index))
    ]


def _why_not(index: Index, grant: str, reason: str) -> str:
    if index.grant is None or index.grant == grant:
        return reason
    return f"{index.grant} is set for this index"


def _explain_source(here: Context, index: Index, project: str | None) -> str:
    fallback = index.fallback_url
    rest = f"then {fallback}" if fallback else "and no other"
    if project is None:
        return f"{index.name} first, {rest}"
    from packaging.utils import canonicalize_name

    from crane_core.index.provenance import has_served

    name = canonicalize_name(project)
    if index.is_private_name(name):
        return f"{index.name} only: {name} matches a private pattern"
    if has_served(here.paths.provenance, index.token_prefix, name):
        return f"{index.name} only: it has served {name} before"
    return f"{index.name} first, {rest}, only if {index.name} says that it has no {name}"
