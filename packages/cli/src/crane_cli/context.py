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
    from crane_core.auth.login import Login
    from crane_core.auth.sessions import SessionStore
    from crane_core.http import Client


@dataclass(frozen=True, slots=True)
class Context:
    """The user's environment, files and configuration."""

    environ: Mapping[str, str]
    paths: Paths
    config: ConfigStore
    prompt: TerminalPrompt
    clock: SystemClock


@dataclass(frozen=True, slots=True)
class Auth:
    """The parts that log in and out."""

    client: Client
    store: SessionStore
    broker: Broker
    login: Login


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
async def auth(here: Context) -> AsyncIterator[Auth]:
    """Yield what is needed to log in, with a client that is closed at the end."""
    from crane_core.auth.broker import Broker
    from crane_core.auth.login import Login
    from crane_core.auth.sessions import SessionStore
    from crane_core.http import new_client

    store = SessionStore(here.paths.sessions)
    async with new_client() as client:
        broker = Broker(store, client, here.clock, here.prompt.notice)
        try:
            yield Auth(client, store, broker, Login(store, client, here.clock, here.prompt))
        finally:
            await broker.close()
