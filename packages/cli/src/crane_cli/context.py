"""What every command needs from its surroundings, gathered once."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.clock import SystemClock
from crane_core.config.store import ConfigStore
from crane_core.platform import Paths, user_paths

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from crane_cli.terminal import TerminalPrompt
    from crane_core.auth.broker import Broker
    from crane_core.auth.context import AuthContext


@dataclass(frozen=True, slots=True)
class Context:
    """The user's environment, files and configuration."""

    environ: Mapping[str, str]
    paths: Paths
    config: ConfigStore
    prompt: TerminalPrompt
    clock: SystemClock


def context() -> Context:
    """Return the context of this process."""
    from crane_cli.terminal import TerminalPrompt

    paths = user_paths(os.environ)
    return Context(
        environ=os.environ,
        paths=paths,
        config=ConfigStore(paths.config_file),
        prompt=TerminalPrompt(os.environ),
        clock=SystemClock(),
    )


@contextlib.asynccontextmanager
async def auth(here: Context) -> AsyncIterator[AuthContext]:
    """Yield what is needed to log in, with clients that are closed at the end."""
    from crane_core.auth.context import AuthContext
    from crane_core.auth.keyring_backend import find_backend
    from crane_core.auth.sessions import SessionStore
    from crane_core.auth.vault import open_vault
    from crane_core.http import Clients

    vault, settle = open_vault(here.environ, here.paths.data, find_backend)
    store = SessionStore(here.paths.sessions, vault, settle)
    async with Clients() as clients:
        yield AuthContext(store, clients, here.clock, here.prompt, here.environ)


@contextlib.asynccontextmanager
async def broker(here: Context) -> AsyncIterator[Broker]:
    """Yield a broker, and let it finish a refresh at the end."""
    from crane_core.auth.broker import Broker

    async with auth(here) as parts:
        broker = Broker(parts)
        try:
            yield broker
        finally:
            await broker.close()
