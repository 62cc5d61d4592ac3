"""A gateway inside this process, for the commands that need one."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.secret import Secret

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Iterable, Mapping
    from socket import socket

    from crane_cli.context import Context
    from crane_core.config.model import Configuration, Index
    from crane_core.gateway.events import Observer
    from crane_core.gateway.guard import Guard


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that listens; `task` ends when it does."""

    port: int
    task: asyncio.Task[None]


def new_secret() -> Secret:
    """Return a secret for one gateway's life, 256 bits."""
    return Secret(secrets.token_urlsafe(32))


def my_uids() -> frozenset[int] | None:
    """Return whose processes may connect."""
    from crane_core.agent import surroundings

    return surroundings.my_uids()


def is_offline(here: Context) -> bool:
    """Whether the user wants answers from the cache only."""
    from crane_core.agent import surroundings

    return surroundings.is_offline(here.environ)


@contextlib.asynccontextmanager
async def running(
    here: Context,
    configuration: Configuration,
    indexes: Iterable[Index],
    listener: socket,
    guard: Guard,
    observer: Observer,
    beside: Mapping[str, str] | None = None,
    *,
    offline: bool = False,
) -> AsyncIterator[Running]:
    """Serve these indexes on the socket until the block ends."""
    from crane_cli.context import auth
    from crane_core.agent.surroundings import gateway_settings
    from crane_core.gateway.compose import gateway
    from crane_core.gateway.server import serving

    chosen = gateway_settings(here.environ, offline=offline)

    async with (
        auth(here) as parts,
        gateway(parts, here.paths, configuration, indexes, guard, observer, beside, chosen) as app,
        serving(app, listener) as task,
    ):
        yield Running(listener.getsockname()[1], task)
