"""`crane index register`: find an index's identity provider, and remember both."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_json, add_yes, command
from crane_cli.result import Result
from crane_core.config.model import CLIENT_AUTHS, GRANTS, LAYOUTS, PUBLISH, Index
from crane_core.errors import IssuerRejected, UsageError

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context
    from crane_core.auth.model import ProviderMetadata
    from crane_core.config.model import Configuration

MORE_SETTINGS = {
    "--grant": "how to log in, where crane should not choose",
    "--account": "which of several accounts to use",
    "--redirect-uri": "for a login in the browser (http://127.0.0.1/callback if left out)",
    "--client-auth": "how the client proves itself",
    "--client-secret-file": "file with the client secret",
    "--client-key-file": "PEM file with the client's private key (private_key_jwt)",
    "--workload-audience": "audience of the identity token of a CI job or cluster",
    "--token-command": "command that prints an access token, in place of a login",
    "--ca-file": "PEM file of a private CA of the index and its provider",
    "--client-certificate": "PEM file of a client certificate (mutual TLS)",
    "--client-certificate-key": "PEM file of its key, if that is not in it",
    "--publish": "how it takes uploads, where crane should not find out",
    "--upload-url": "where it takes uploads, if not at the index's own URL ('' for there)",
    "--upload-layout": "where below that a Crane server has its files",
}
AUTO = "auto"
CHOICES = {
    "--grant": GRANTS,
    "--client-auth": CLIENT_AUTHS,
    "--publish": (*PUBLISH, AUTO),
    "--upload-layout": (*LAYOUTS, AUTO),
}
# Where the index is and who its provider is come in other ways.
SETTINGS = {field.name for field in fields(Index)} - {
    "url", "token_endpoint", "device_authorization_endpoint"
}  # fmt: skip
EXAMPLES = """
crane index register https://crane.example.com/python
crane index register https://crane.example.com/python --name firm --private 'acme-*' --yes
crane index register https://crane.example.com/python --issuer https://sso.example.com/realms/x
crane index register URL CLIENT_ID TOKEN_URL DEVICE_URL
"""


def add_parser(actions: Any) -> None:
    """Add the command."""
    parser = command(actions, "register", run, "add or update an index", EXAMPLES, group="index")
    parser.add_argument("url", metavar="URL", help="the index, as you would give it to pip -i")
    parser.add_argument(
        "endpoints",
        metavar="CLIENT_ID TOKEN_URL DEVICE_URL",
        nargs="*",
        help="for providers that publish no metadata",
    )
    add_settings(parser)
    add_yes(parser)
    add_json(parser)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the options that `register` and `set` share; the default None means *as it was*."""
    import argparse as a

    parser.add_argument("--name", help="a short name, part of gateway URLs")
    parser.add_argument("--issuer", help="the identity provider's issuer URL")
    parser.add_argument("--client-id", help="OAuth client (crane-pip if left out)")
    parser.add_argument("--scope", help="scopes to ask for ('openid offline_access' if left out)")
    parser.add_argument("--audience", help="audience parameter of the token request")
    parser.add_argument("--resource", help="resource parameter of the token request (RFC 8707)")
    parser.add_argument("--fallback", metavar="URL|pypi|none", help="index for names it lacks")
    parser.add_argument(
        "--private",
        metavar="PATTERN",
        action="append",
        help="names that never fall back, like 'acme-*'; may be repeated",
    )
    parser.add_argument(
        "--no-private", dest="private", action="store_const", const=[], help="drop all patterns"
    )
    parser.add_argument(
        "--root-required",
        action=a.BooleanOptionalAction,
        default=None,
        help="fall back only if the index's root page can be read",
    )
    parser.add_argument(
        "--default", action=a.BooleanOptionalAction, default=None, help="use it if none is named"
    )
    more = parser.add_argument_group("less often")
    for option, text in MORE_SETTINGS.items():
        choices = CHOICES.get(option)
        # Braces around words that have some would be read as theirs.
        shown = "|".join(choices) if choices and any("{" in choice for choice in choices) else None
        more.add_argument(option, help=text, choices=choices, metavar=shown)
    more.add_argument(
        "--stale-limit",
        metavar="AGE",
        help="answer from before for so long while the index is down (CRANE_STALE_LIMIT)",
    )
    more.add_argument(
        "--no-stale-limit", dest="stale_limit", action="store_const", const="", help="as for others"
    )
    more.add_argument(
        "--keep-pages",
        action=a.BooleanOptionalAction,
        default=None,
        help="keep its pages for when it cannot be asked, although it says no-store",
    )
    more.add_argument(
        "--share-login",
        action=a.BooleanOptionalAction,
        default=None,
        help="use the login of other indexes at the same provider, and lend them this one",
    )
    parser.add_argument(
        "--insecure-http",
        action="store_const",
        const=True,
        help="send tokens over plain http, which everybody on the way can read",
    )


def given(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the user gave."""
    values = {name: getattr(args, name) for name in SETTINGS if getattr(args, name) is not None}
    if "private" in values:
        values["private"] = tuple(values["private"])
    if "stale_limit" in values:
        values["stale_limit"] = values["stale_limit"] or None
    for name in ("publish", "upload_layout"):
        if values.get(name) == AUTO:
            values[name] = None
    if "upload_url" in values:
        values["upload_url"] = values["upload_url"] or None
    return values


def run(args: argparse.Namespace, here: Context) -> Result:
    """Register an index, or update it if its URL is registered."""
    from crane_cli.commands.index import described
    from crane_cli.commands.logout import forget_sessions

    configuration = here.config.load()
    before = configuration.match(args.url)
    index = asyncio.run(_with_provider(args, here, _wanted(args, configuration, before), before))
    if before is not None:
        asyncio.run(forget_sessions(here, before, index))
    here.config.save(index, replacing=before.name if before else None)
    verb = "updated" if before else "registered"
    known = list(here.config.load())
    option = "" if index.default or known == [index] else f" -i {index.url}"
    login = f"next: crane login {index.name}, or just crane pip install{option} …"
    return Result(f"{verb} {index.name} ({index.url})\n{login}", described(index))


def _wanted(args: argparse.Namespace, configuration: Configuration, before: Index | None) -> Index:
    values = given(args) | _endpoints(args)
    insecure = values.get("insecure_http", bool(before and before.insecure_http))
    if before is not None:
        index = replace(before, **values, url=args.url, insecure_http=insecure)
    else:
        name = values.pop("name", None) or configuration.free_name(args.url)
        index = Index(name=name, url=args.url, **values)
    taken = configuration.indexes.get(index.name)
    if taken is not None and taken != before:
        raise UsageError(f"{index.name} names {taken.url} already", hint="choose another --name")
    return index


def _endpoints(args: argparse.Namespace) -> dict[str, Any]:
    if not args.endpoints:
        return {}
    if len(args.endpoints) != 3:
        raise UsageError(
            f"got {len(args.endpoints)} of the three values CLIENT_ID TOKEN_URL DEVICE_URL",
            hint="give all three, or none: crane finds them by itself",
        )
    client_id, token_url, device_url = args.endpoints
    return {
        "client_id": client_id,
        "token_endpoint": token_url,
        "device_authorization_endpoint": device_url,
        "issuer": args.issuer,
    }


async def _with_provider(
    args: argparse.Namespace, here: Context, index: Index, before: Index | None
) -> Index:
    """Return the index with its provider: given by hand, or found, checked and confirmed."""
    from crane_core.auth.discovery import discover_issuer, provider_metadata
    from crane_core.http import Clients

    if args.endpoints:
        return index
    async with Clients() as clients:
        client = clients.using(index.tls)
        issuer = args.issuer
        if issuer is None:
            issuer = await discover_issuer(client, index.url, insecure_http=index.insecure_http)
        metadata = await provider_metadata(client, issuer, insecure_http=index.insecure_http)
    if args.issuer is None and metadata.issuer is not None:
        _confirm(args, here, index, before, metadata.issuer)
    _show(here, index, metadata)
    return replace(
        index, issuer=metadata.issuer, token_endpoint=None, device_authorization_endpoint=None
    )


def _confirm(
    args: argparse.Namespace, here: Context, index: Index, before: Index | None, issuer: str
) -> None:
    pinned = before.issuer if before else None
    if pinned == issuer:
        return
    if pinned is not None:
        raise IssuerRejected(
            f"{index.url} now names the issuer {issuer}; registered is {pinned}",
            hint="if that is right, give it by hand with --issuer",
        )
    # Discovery is a place to phish: the index decides where you type your password.
    here.prompt.notice(f"{index.url} sends its users to {issuer} to log in")
    if not args.yes and not here.prompt.confirm(f"Do you trust {issuer}?"):
        raise IssuerRejected(f"{issuer} was not confirmed", hint="give the right one with --issuer")


def _show(here: Context, index: Index, metadata: ProviderMetadata) -> None:
    here.prompt.notice(f"issuer {metadata.issuer}, client id {index.client_id}")
    if metadata.device_authorization_endpoint is None:
        here.prompt.notice(
            "that provider does not offer the device flow: logins need a browser on this machine"
        )
