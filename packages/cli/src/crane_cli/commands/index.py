"""`crane index`: register, list, show, set, remove, import and release."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_json, command, command_group
from crane_cli.result import Result
from crane_core.config.model import none_registered
from crane_core.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context
    from crane_core.config.model import Index


EXAMPLES = """
crane index register https://crane.example.com/python
crane index list
crane index set firm --default --private 'acme-*'
"""
LIST_EXAMPLES = """
crane index list
crane index list --url https://crane.example.com/python --json
"""
SHOW_EXAMPLES = "crane index show firm --json"
SET_EXAMPLES = """
crane index set firm --private 'acme-*' --fallback none
crane index set firm --keep-pages --stale-limit 30d   for work while it is down
crane index set firm --name python --default
"""
REMOVE_EXAMPLES = "crane index remove firm"
IMPORT_EXAMPLES = """
crane index import                         crane-pip's own file
crane index import servers.json --tokens   its logins as well
"""
RELEASE_EXAMPLES = "crane index release firm acme-lib   it has moved to PyPI"


def add_parser(commands: Any) -> None:
    """Add the command and its own commands."""
    actions = command_group(commands, "index", "register and manage indexes", EXAMPLES)
    _add_register(actions)
    _add_list(actions)
    _add_show(actions)
    _add_set(actions)
    _add_remove(actions)
    _add_import(actions)
    _add_release(actions)


def _add_register(actions: Any) -> None:
    from crane_cli.commands import register, secret

    register.add_parser(actions)
    secret.add_parser(actions)


def _add_list(actions: Any) -> None:
    parser = command(actions, "list", run_list, "list the indexes", LIST_EXAMPLES, group="index")
    parser.add_argument("--url", help="only the index with this URL")
    add_json(parser)


def _add_show(actions: Any) -> None:
    parser = command(actions, "show", run_show, "show one index", SHOW_EXAMPLES, group="index")
    parser.add_argument("index", metavar="INDEX", help="name or URL")
    add_json(parser)


def _add_set(actions: Any) -> None:
    from crane_cli.commands.register import add_settings

    parser = command(actions, "set", run_set, "change an index", SET_EXAMPLES, group="index")
    parser.add_argument("index", metavar="INDEX", help="name or URL")
    add_settings(parser)
    add_json(parser)


def _add_remove(actions: Any) -> None:
    summary = "log out of an index and forget it"
    parser = command(actions, "remove", run_remove, summary, REMOVE_EXAMPLES, group="index")
    parser.add_argument("index", metavar="INDEX", help="name or URL")
    add_json(parser)


def _add_import(actions: Any) -> None:
    summary = "take over crane-pip's indexes"
    parser = command(actions, "import", run_import, summary, IMPORT_EXAMPLES, group="index")
    parser.add_argument("file", metavar="FILE", nargs="?", help="its servers.json")
    parser.add_argument(
        "--tokens",
        metavar="FILE",
        nargs="?",
        const="",
        help="take its logins over too, from its tokens.json",
    )
    add_json(parser)


def _add_release(actions: Any) -> None:
    summary = "let a project that this index has served come from elsewhere"
    parser = command(actions, "release", run_release, summary, RELEASE_EXAMPLES, group="index")
    parser.add_argument("index", metavar="INDEX", help="name or URL")
    parser.add_argument("project", metavar="PROJECT")
    add_json(parser)


def described(index: Index) -> dict[str, Any]:
    """Return an index's settings under the names of the configuration file."""
    return {key.replace("_", "-"): value for key, value in asdict(index).items()}


def run_list(args: argparse.Namespace, here: Context) -> Result:
    """List what is registered."""
    configuration = here.config.load()
    indexes = [configuration.find(args.url)] if args.url else list(configuration)
    if not indexes:
        return Result(none_registered().line, [])
    width = max(len(i.name) for i in indexes)
    lines = [f"{i.name:{width}}  {i.url}{'  (default)' if i.default else ''}" for i in indexes]
    return Result("\n".join(lines), [described(i) for i in indexes])


def run_show(args: argparse.Namespace, here: Context) -> Result:
    """Show every setting of one index."""
    data = described(here.config.load().find(args.index))
    lines = [f"{k} = {_shown(v)}" for k, v in data.items() if v not in (None, ())]
    return Result("\n".join(lines), data)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def run_set(args: argparse.Namespace, here: Context) -> Result:
    """Change what is given, and nothing else."""
    from crane_cli.commands.logout import forget_sessions
    from crane_cli.commands.register import given

    before = here.config.load().find(args.index)
    values = given(args)
    if not values:
        raise UsageError("nothing is given to change", hint="see: crane index set --help")
    if "issuer" in values:
        values |= {"token_endpoint": None, "device_authorization_endpoint": None}
    index = replace(before, **values)
    here.config.save(index, replacing=before.name)
    asyncio.run(forget_sessions(here, before, index))
    return Result(f"{index.name} is updated", described(index))


def run_remove(args: argparse.Namespace, here: Context) -> Result:
    """Forget an index and its login: registering it again starts afresh."""
    from crane_cli.commands.logout import forget_sessions

    index = here.config.load().find(args.index)
    problem = asyncio.run(forget_sessions(here, index))
    here.config.remove(index.name)
    _forget_secret(here, index)
    text = f"removed {index.name}" + (f"; its login was not revoked: {problem}" if problem else "")
    return Result(text, {"name": index.name, "revocation_problem": problem})


def _forget_secret(here: Context, index: Index) -> None:
    from crane_cli.context import vault
    from crane_core.auth.credentials import secret_name

    if secret_name(index) not in map(secret_name, here.config.load()):
        vault(here)[0].delete(secret_name(index))


def run_import(args: argparse.Namespace, here: Context) -> Result:
    """Register every index of crane-pip's `servers.json`."""
    from crane_cli.commands.logout import forget_sessions
    from crane_core.config.crane_pip import read_servers, servers_file

    path = Path(args.file) if args.file else servers_file(Path.home())
    configuration = here.config.load()
    indexes = read_servers(path, configuration)
    for index in indexes:
        here.config.save(index)
        if (before := configuration.match(index.url)) is not None:
            asyncio.run(forget_sessions(here, before, index))
    lines = [f"{i.name}  {i.url}" for i in indexes] or [f"{path} holds no index"]
    if args.tokens is not None:
        lines += asyncio.run(_import_tokens(here, indexes, args.tokens))
    return Result("\n".join(lines), [described(i) for i in indexes])


async def _import_tokens(here: Context, indexes: list[Index], file: str) -> list[str]:
    from crane_cli.context import auth
    from crane_core.auth.crane_pip import import_session, tokens_file

    path = Path(file) if file else tokens_file(Path.home())
    async with auth(here) as parts:
        parts.store.settle(here.prompt.notice)
        taken = [index.name for index in indexes if await import_session(parts, path, index)]
    return [f"took over the login of {name}" for name in taken] or ["no login to take over"]


def run_release(args: argparse.Namespace, here: Context) -> Result:
    """Forget that an index has served a project, and what its files hashed to."""
    from packaging.utils import canonicalize_name

    from crane_core.index.provenance import SqliteProvenance

    index = here.config.load().find(args.index)
    project = canonicalize_name(args.project)
    provenance = SqliteProvenance(here.paths.provenance)
    known = provenance.release(index.token_prefix, project)
    provenance.close()
    said = "is released from" if known else "was never seen at"
    return Result(f"{project} {said} {index.name}", {"project": project, "known": known})
