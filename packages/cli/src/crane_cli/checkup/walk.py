"""All checks of an index in the order in which a request passes what they look at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from crane_cli.checkup import login, machine, network, pages
from crane_cli.findings import Finding, failed
from crane_core.errors import CraneError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from crane_cli.context import Context
    from crane_core.config.model import Index

    Section = tuple[str, list[Finding]]


def look(here: Context, indexes: Iterable[Index]) -> list[Section]:
    """Return what is found on this machine, and on the way to each of these indexes."""
    sections: list[Section] = [("this machine", list(machine.look(here)))]
    for index in indexes:
        title = f"{index.name}  {index.url}"
        try:
            sections.append((title, asyncio.run(walk(here, index))))
        except CraneError as error:
            sections.append((title, [failed("crane", error)]))
    return sections


def shown(sections: Iterable[Section]) -> str:
    """Return sections for people."""
    return "\n\n".join(
        "\n".join([title, *(finding.line for finding in found)]) for title, found in sections
    )


async def walk(here: Context, index: Index) -> list[Finding]:
    """Return what is found on the way to an index; what lies behind a closed door is left out."""
    from crane_cli.context import auth
    from crane_core.auth.broker import Broker

    found: list[Finding] = []
    async with auth(here) as parts, Broker(parts) as broker:
        is_reachable = await _take(network.look(parts, index), found)
        has_token = await _take(login.look(parts, broker, index), found)
        if is_reachable and has_token:
            await _take(pages.look(parts, broker, index), found)
    return found


async def _take(findings: AsyncIterator[Finding], into: list[Finding]) -> bool:
    """Take all of them, and return whether the last one lets us go on."""
    into.extend([finding async for finding in findings])
    return into[-1].state != "bad"
