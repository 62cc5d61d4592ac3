"""Logging in from inside a tool, and who is logged in."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from crane_core.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from crane_core.auth.context import AuthContext
    from crane_core.auth.model import Prompt, Session
    from crane_core.auth.sessions import SessionStore
    from crane_core.config.model import Index
    from crane_core.platform import Paths


def session_store(paths: Paths, environ: Mapping[str, str]) -> SessionStore:
    """Return where the user's logins are."""
    from crane_core.auth.keyring_backend import find_backend
    from crane_core.auth.sessions import SessionStore
    from crane_core.auth.vault import open_vault

    return SessionStore(paths.sessions, *open_vault(environ, paths.data, find_backend))


@contextlib.asynccontextmanager
async def auth_context(
    paths: Paths, environ: Mapping[str, str], prompt: Prompt
) -> AsyncIterator[AuthContext]:
    """Yield what is needed to log in and out, with clients that are closed at the end."""
    from crane_core.auth.context import AuthContext
    from crane_core.http import Clients

    store = session_store(paths, environ)
    async with Clients() as clients:
        yield AuthContext(store, clients, SystemClock(), prompt, environ)


async def log_in(
    paths: Paths,
    environ: Mapping[str, str],
    prompt: Prompt,
    indexes: Iterable[Index],
    *,
    even_so: bool = False,
) -> None:
    """Log in at each of these indexes, unless somebody is; with `even_so` in any case.

    Raises a `CraneError`.
    """
    from crane_core.auth.broker import Broker
    from crane_core.auth.login import Login
    from crane_core.errors import LoginNeeded

    async with auth_context(paths, environ, prompt) as parts, Broker(parts) as broker:
        for index in indexes:
            if not even_so:
                try:
                    await broker.access_token(index)
                except LoginNeeded:
                    pass
                else:
                    continue
            await Login(parts).run(index)


async def log_out(
    paths: Paths, environ: Mapping[str, str], prompt: Prompt, index: Index
) -> str | None:
    """Log out of an index, as `crane logout` does.

    Returns why the tokens were not revoked at the provider, None if they were.
    """
    from crane_core.auth.broker import identity_prefix
    from crane_core.auth.login import Logout
    from crane_core.auth.model import session_key
    from crane_core.cache.contacts import forget_login

    async with auth_context(paths, environ, prompt) as parts:
        one = index.account is not None
        keys = [session_key(index)] if one else parts.store.accounts(index)
        problem = await Logout(parts).run(index)
    for key in keys:
        # What the cache was given for them is theirs no more.
        forget_login(paths.cache, identity_prefix(key))
    return problem


def who(session: Session | None, now: float) -> str | None:
    """Return who is logged in by this session as far as is known here, None if nobody is."""
    tokens = session.tokens if session else None
    if tokens is None or not (tokens.is_valid(now) or tokens.can_refresh(now)):
        return None
    return tokens.account or "somebody"
