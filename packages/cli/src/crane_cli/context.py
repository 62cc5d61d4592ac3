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
    from collections.abc import AsyncIterator, Callable, Mapping

    from crane_cli.terminal import TerminalPrompt
    from crane_core.auth.context import AuthContext
    from crane_core.auth.vault import Vault
    from crane_core.clients.child_environment import Restored
    from crane_core.config.model import Index


@dataclass(frozen=True, slots=True)
class Context:
    """The user's environment, files and configuration.

    `outer` is the `crane run` or `crane env` around this process. Its variables, which `changed`
    names, are taken out of `environ`.
    """

    environ: Mapping[str, str]
    paths: Paths
    config: ConfigStore
    prompt: TerminalPrompt
    clock: SystemClock
    outer: Restored | None = None
    changed: tuple[str, ...] = ()


def context() -> Context:
    """Return the context of this process."""
    from crane_cli.terminal import TerminalPrompt

    outer, changed = _leave_outer_view()
    paths = user_paths(os.environ)
    return Context(
        environ=os.environ,
        paths=paths,
        config=ConfigStore(paths.config_file),
        prompt=TerminalPrompt(os.environ),
        clock=SystemClock(),
        outer=outer,
        changed=changed,
    )


def _leave_outer_view() -> tuple[Restored | None, tuple[str, ...]]:
    """Take back what an outer crane has set: crane itself must not go through crane."""
    if "CRANE_VIEW" not in os.environ:
        return None, ()
    from crane_core.clients.child_environment import changed_names, restored

    changed = tuple(changed_names(os.environ))
    outer = restored(os.environ)
    os.environ.clear()
    os.environ.update(outer.environ)
    return outer, changed


@contextlib.asynccontextmanager
async def auth(here: Context) -> AsyncIterator[AuthContext]:
    """Yield what is needed to log in, with clients that are closed at the end."""
    from crane_core.auth.context import AuthContext
    from crane_core.auth.sessions import SessionStore
    from crane_core.http import Clients

    store = SessionStore(here.paths.sessions, *vault(here))
    async with Clients() as clients:
        yield AuthContext(store, clients, here.clock, here.prompt, here.environ)


def vault(here: Context) -> tuple[Vault, Callable[[Callable[[str], None]], Vault] | None]:
    """Return where the user's logins are, and what decides that if nothing has yet."""
    from crane_core.auth.keyring_backend import find_backend
    from crane_core.auth.vault import open_vault

    return open_vault(here.environ, here.paths.data, find_backend)


async def ensure_login(here: Context, index: Index) -> None:
    """Log in if nobody is, before a tool starts: so no prompt stands in its progress bar."""
    from crane_core.auth.broker import Broker
    from crane_core.auth.login import Login
    from crane_core.errors import LoginNeeded

    async with auth(here) as parts, Broker(parts) as broker:
        try:
            await broker.access_token(index)
        except LoginNeeded:
            async with here.prompt.waiting():
                await Login(parts).run(index)
