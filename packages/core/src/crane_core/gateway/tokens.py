"""Where the gateway takes access tokens from, and what happens when a person is needed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from crane_core.auth.model import session_key
from crane_core.errors import CraneError, LoginNeeded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crane_core.auth.broker import Broker
    from crane_core.auth.login import Login
    from crane_core.auth.model import Session, SessionKey
    from crane_core.config.model import Index
    from crane_core.secret import Secret

# Tools give up on a silent server after 15 seconds; they must get our reason before that.
LOGIN_PATIENCE = 10.0
# How long a login that was denied or given up is not asked for again, in seconds.
REFUSAL_SECONDS = 15.0
_may_ask: ContextVar[bool] = ContextVar("crane_may_ask", default=True)


@contextlib.contextmanager
def asking_nobody() -> Iterator[None]:
    """Let no login be asked for meanwhile, by this task and those that it starts."""
    before = _may_ask.set(False)
    try:
        yield
    finally:
        _may_ask.reset(before)


class TokenSource(Protocol):
    """Hands out access tokens for an index."""

    async def token(self, index: Index, *, rejected: Secret | None = None) -> Secret:
        """Return a token; another one than `rejected`. Raises a `CraneError`."""
        ...


class Logins(Protocol):
    """Knows who is logged in at an index, without asking anybody."""

    def identity(self, index: Index) -> str | None:
        """Return what stands for whoever is logged in, None if nobody is."""
        ...

    def is_valid(self, index: Index) -> bool:
        """Whether a token is at hand that has not run out."""
        ...


class SessionTokens:
    """Tokens of the stored session; a login is asked for when it has ended.

    One login per session at a time, however many requests wait for it. Requests wait a short
    while, then are answered with what to do; the login goes on meanwhile.
    """

    def __init__(self, broker: Broker, login: Login, *, patience: float = LOGIN_PATIENCE) -> None:
        self._broker = broker
        self._login = login
        self._prompt = login.context.prompt
        self._patience = patience
        self._logins: dict[SessionKey, asyncio.Task[Session]] = {}
        self._refused: dict[SessionKey, tuple[float, CraneError]] = {}
        self._clock = time.monotonic

    async def token(self, index: Index, *, rejected: Secret | None = None) -> Secret:
        """Return a token, after a login if one is needed and somebody is there."""
        try:
            return await self._broker.access_token(index, rejected=rejected)
        except LoginNeeded as error:
            if not self._prompt.can_answer or not _may_ask.get():
                raise
            return await self._after_login(index, error)

    def identity(self, index: Index) -> str | None:
        """Return what stands for whoever is logged in, None if nobody is."""
        return self._broker.identity(index)

    def is_valid(self, index: Index) -> bool:
        """Whether a token is at hand that has not run out."""
        return self._broker.is_valid(index)

    async def _after_login(self, index: Index, needed: LoginNeeded) -> Secret:
        key = session_key(index)
        task = self._logins.get(key)
        if task is None:
            refused, error = self._refused.get(key, (float("-inf"), needed))
            if self._clock() - refused < REFUSAL_SECONDS:
                raise error  # the same tool's other requests must not open a browser each
            task = asyncio.create_task(self._run_login(index))
            self._logins[key] = task
            task.add_done_callback(lambda _: self._logins.pop(key, None))
        try:
            session = await asyncio.wait_for(asyncio.shield(task), self._patience)
        except TimeoutError:
            raise LoginNeeded(
                needed.message, hint="complete the login shown in crane's terminal, then try again"
            ) from needed
        return session.tokens.access_token

    async def _run_login(self, index: Index) -> Session:
        try:
            return await self._login.run(index)
        except CraneError as error:
            self._prompt.notice(error.line)
            self._refused[session_key(index)] = (self._clock(), error)
            raise

    async def close(self) -> None:
        """Give up logins under way and let a refresh finish."""
        for task in list(self._logins.values()):
            task.cancel()
        await asyncio.gather(*self._logins.values(), return_exceptions=True)
        await self._broker.close()
