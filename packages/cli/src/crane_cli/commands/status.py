"""`crane status`: each index, who is logged in, until when, and whether the index answers."""

from __future__ import annotations

import asyncio
import io
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_index, add_json, command
from crane_cli.result import Result
from crane_core.config.durations import show_duration
from crane_core.config.model import none_registered

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context
    from crane_core.auth.broker import Broker
    from crane_core.auth.context import AuthContext
    from crane_core.auth.model import TokenSet
    from crane_core.config.model import Index


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """What is known of one index; times in seconds since the epoch, None for no end.

    `account` is who is logged in, `account_label` the name that the registration has for them.
    """

    name: str
    url: str
    logged_in: bool
    account: str | None
    account_label: str | None
    access_expires_at: float | None
    session_expires_at: float | None
    answer: str
    exit_code: int


EXAMPLES = """
crane status
crane status firm --json
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = command(commands, "status", run, "show each index and its login", EXAMPLES)
    add_index(parser, "all if left out")
    add_json(parser)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Show the state; the exit code is that of the first problem."""
    from crane_cli.commands.vault import say_if_vaults_disagree

    configuration = here.config.load()
    indexes = [configuration.find(args.index)] if args.index else list(configuration)
    if not indexes:
        return Result(none_registered().line, {"indexes": [], "storage": None})
    found, place = asyncio.run(_all(here, indexes))
    say_if_vaults_disagree(here)
    data = {"indexes": [asdict(s) for s in found], "storage": place}
    code = next((s.exit_code for s in found if s.exit_code), 0)
    text = f"{_table(found, here.clock.now())}\nlogins are kept in {place}"
    return Result(text, data, code)


async def _all(here: Context, indexes: list[Index]) -> tuple[list[IndexStatus], str]:
    from crane_cli.context import auth
    from crane_core.auth.broker import Broker

    async with auth(here) as parts, Broker(parts) as broker:
        found = await asyncio.gather(*(_one(here, parts, broker, i) for i in indexes))
        return list(found), parts.store.vault.place


async def _one(here: Context, parts: AuthContext, broker: Broker, index: Index) -> IndexStatus:
    from crane_core.errors import CraneError

    try:
        answer, code = await _ask(here, parts, broker, index), 0
    except CraneError as error:
        answer, code = error.line, error.exit_code
    session = broker.session(index)
    tokens = session.tokens if session else None
    now = here.clock.now()
    logged_in = tokens is not None and (tokens.is_valid(now) or tokens.can_refresh(now))
    return IndexStatus(
        name=index.name,
        url=index.url,
        logged_in=logged_in,
        account=tokens.account if tokens and logged_in else None,
        account_label=index.account,
        access_expires_at=tokens.expires_at if tokens else None,
        session_expires_at=_session_end(tokens) if tokens else None,
        answer=answer,
        exit_code=code,
    )


def _session_end(tokens: TokenSet) -> float | None:
    return tokens.refresh_expires_at if tokens.refresh_token else tokens.expires_at


async def _ask(here: Context, parts: AuthContext, broker: Broker, index: Index) -> str:
    from functools import partial

    from crane_cli.stored_tokens import StoredTokens
    from crane_core.gateway.upstream import Upstream
    from crane_core.index.root import no_access
    from crane_core.index.source import PrivateIndex

    fetch = partial(Upstream(parts.clients, StoredTokens(broker), here.clock).page, index=index)
    root = await PrivateIndex(index, fetch, here.clock).root()
    if root is None and index.root_required:
        raise no_access(index.url, index.name)
    count = 0 if root is None else len(root.projects)
    return "answers" if root is None else f"answers, {count} project{'s' * (count != 1)}"


def _table(found: list[IndexStatus], now: float) -> str:
    from rich.console import Console
    from rich.table import Table

    from crane_cli.commands.login import with_label

    table = Table(box=None, pad_edge=False)
    for column in ("INDEX", "ACCOUNT", "SESSION", "INDEX SAYS"):
        table.add_column(column, overflow="fold")
    for status in found:
        who = status.account or ("somebody" if status.logged_in else "nobody")
        who = with_label(who, status.account_label)
        table.add_row(f"{status.name}\n  {status.url}", who, _until(status, now), status.answer)
    out = io.StringIO()
    # Plain text, whatever the terminal: the result is also piped and compared. Names come from
    # the provider and may look like markup.
    Console(file=out, width=_width(), color_system=None, markup=False, emoji=False).print(table)
    return out.getvalue().rstrip()


def _width() -> int:
    import shutil

    return max(80, shutil.get_terminal_size().columns)


def _until(status: IndexStatus, now: float) -> str:
    if not status.logged_in:
        return "-"
    end = status.session_expires_at
    if end is None:
        return "no end named"
    stamp = datetime.fromtimestamp(end, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    return f"until {stamp} ({show_duration(end - now)})"
