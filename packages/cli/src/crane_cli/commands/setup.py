"""`crane setup`: from an index's URL to the first download, in one command."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_json, add_yes, command
from crane_cli.result import Result

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context
    from crane_cli.findings import Finding
    from crane_core.config.model import Index

DESCRIPTION = """\
Registers an index, logs you in, offers Poetry, PDM and Hatch their plugins, and lets pip download
one project to see that it works. Each command is shown before it runs, and asked about. What is
done already is not done again, so it may be run as often as you like.

With --team it writes what your colleagues need into pyproject.toml, or into crane.toml where there
is none. They run crane setup there, or crane setup crane.toml. There is no secret in it.
"""
EXAMPLES = """
crane setup                                      asks what it needs to know
crane setup https://crane.example.com/python
crane setup https://crane.example.com/python --yes --plugins poetry,pdm --no-test
crane setup https://crane.example.com/python --name firm --private 'acme-*' --grant device
crane setup --team                               for colleagues, who then run:
crane setup crane.toml
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    from crane_cli.commands.register import add_settings

    summary = "register, log in, install plugins and try a download"
    parser = command(commands, "setup", run, summary, EXAMPLES, description=DESCRIPTION)
    parser.add_argument(
        "url",
        metavar="URL|FILE",
        nargs="?",
        help="the index, its name if it is registered, or a file of your team's; asked for if left "
        "out",
    )
    add_yes(parser)
    parser.add_argument(
        "--plugins",
        metavar="TOOLS",
        help="install plugins for these and ask nothing: poetry,pdm,hatch, all or none",
    )
    parser.add_argument("--test", metavar="PROJECT", help="the project to download")
    parser.add_argument("--no-test", action="store_true", help="download nothing")
    parser.add_argument(
        "--team",
        metavar="FILE",
        nargs="?",
        const="",
        help="write what colleagues need; pyproject.toml, or crane.toml, if FILE is left out",
    )
    add_settings(parser)
    add_json(parser)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Go through the steps, and say after each what has come of it."""
    from crane_cli.onboarding.place import chosen_index
    from crane_cli.onboarding.plugins import wanted_tools

    wanted = wanted_tools(args.plugins)
    index, is_new = chosen_index(args, here)
    if args.team is not None:
        return _write_for_team(args.team, index)
    what = "is registered now" if is_new else "is registered"
    _say(here, f"✓ {index.name} {what} ({index.url})")
    account, is_logged_in = _login(here, index)
    _say(here, f"✓ logged in {'now ' if is_logged_in else ''}as {account or 'somebody'}")
    data = {
        "index": index.name,
        "url": index.url,
        "registered": "now" if is_new else "before",
        "login": {"account": account, "when": "now" if is_logged_in else "before"},
    }
    return _finish(args, here, index, wanted, data)


def _finish(
    args: argparse.Namespace,
    here: Context,
    index: Index,
    wanted: frozenset[str] | None,
    data: dict[str, Any],
) -> Result:
    """Go through the rest: plugins, a download, and what to do next."""
    from crane_cli.onboarding.plugins import offer_all
    from crane_cli.onboarding.trial import try_download

    found: list[Finding] = []
    data["plugins"] = []
    for offer in offer_all(here, wanted):
        _say(here, offer.finding.line)
        found.append(offer.finding)
        data["plugins"].append(
            {"tool": offer.tool, "state": offer.state, "command": list(offer.command)}
        )
    data["test"] = None
    if not args.no_test:
        project, finding = try_download(here, index, args.test)
        _say(here, finding.line)
        found.append(finding)
        data["test"] = {"project": project, **finding.to_json()}
    data["next"] = _next_steps(here, index, data)
    code = next((finding.exit_code for finding in found if finding.state == "bad"), 0)
    return Result("\n".join(["", "next:", *(f"  {line}" for line in data["next"])]), data, code)


def _say(here: Context, line: str) -> None:
    from crane_cli.colours import with_marks
    from crane_core.text import visible

    here.prompt.say(with_marks(visible(line), sys.stderr, here.environ))


def _login(here: Context, index: Index) -> tuple[str | None, bool]:
    """Log in unless somebody is; returns who is, and whether that is new."""
    return asyncio.run(_logged_in(here, index))


async def _logged_in(here: Context, index: Index) -> tuple[str | None, bool]:
    from crane_cli.context import auth
    from crane_core.auth.broker import Broker
    from crane_core.auth.login import Login
    from crane_core.errors import LoginNeeded

    async with auth(here) as parts, Broker(parts) as broker:
        try:
            await broker.access_token(index)
            is_new = False
        except LoginNeeded:
            async with here.prompt.waiting():
                await Login(parts).run(index)
            is_new = True
        session = broker.session(index)
        return session.tokens.account if session else None, is_new


def _write_for_team(name: str, index: Index) -> Result:
    from crane_cli.onboarding.team import CRANE_TOML, PYPROJECT, shared_table, write_team_file

    path = Path(name or (PYPROJECT if Path(PYPROJECT).is_file() else CRANE_TOML))
    is_changed = write_team_file(path, index)
    said = f"wrote {index.name} into {path}" if is_changed else f"{path} names {index.name} already"
    what = "" if path.name == PYPROJECT else f" {path.name}"
    text = f"{said}\nhand it to colleagues; they run: crane setup{what}"
    return Result(text, {"file": str(path), "changed": is_changed, **shared_table(index)})


def _next_steps(here: Context, index: Index, data: dict[str, Any]) -> list[str]:
    known = list(here.config.load())
    option = "" if index.default or known == [index] else f" --index-url {index.url}"
    steps = [f"crane pip install{option} PROJECT"]
    steps += [
        f"{entry['tool']} as ever: it logs in by itself"
        for entry in data["plugins"]
        if entry["state"] in {"present", "installed"}
    ]
    steps += ["crane run -- COMMAND …   any other tool", "crane setup --team       for colleagues"]
    if data["test"] and data["test"]["state"] == "bad":
        steps.insert(0, f"crane doctor {index.name}   why the download failed")
    return steps
