"""The one owner of tokens: hands out fresh ones, and refreshes one at a time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from crane_core.auth.choose import may_be_unattended
from crane_core.auth.credentials import ready_token
from crane_core.auth.discovery import index_provider
from crane_core.auth.endpoint import OAuthError, post_form
from crane_core.auth.model import Session, session_key
from crane_core.auth.tokens import read_token_response
from crane_core.errors import LoginNeeded, ProviderError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from crane_core.auth.context import AuthContext
    from crane_core.auth.model import SessionKey, TokenSet
    from crane_core.config.model import Index
    from crane_core.secret import Secret

# `invalid_target` is here since providers burn the refresh token before they check the target.
SESSION_OVER = frozenset({"invalid_grant", "invalid_target"})
CLOSE_LIMIT = 35.0
REFRESH_LOCK_LIMIT = 60.0  # seconds; a refresh itself takes 30 s at most


class Broker:
    """Hands out access tokens.

    The protocol of a refresh, across tasks, threads and processes: lock; read again; if another
    has refreshed meanwhile, use that; else refresh with the refresh token just read; write and
    fsync; only then use. So no refresh token is used twice, and a crash loses at most the
    answer under way, which ends in a new login.
    """

    def __init__(self, context: AuthContext) -> None:
        self._context = context
        self._store = context.store
        self._clock = context.clock
        self._refreshing: dict[SessionKey, asyncio.Task[Session]] = {}

    def session(self, index: Index) -> Session | None:
        """Return the stored session of an index."""
        return self._store.read(session_key(index))

    async def access_token(self, index: Index, *, rejected: Secret | None = None) -> Secret:
        """Return a token for this index; not the `rejected` one, which the index answered 401.

        Raises `LoginNeeded` when only a person can help, `ProviderUnreachable` when the provider
        is down and no valid token is left.
        """
        ready = await ready_token(index, self._context.environ)
        if ready is not None:
            if ready == rejected:
                raise login_needed(index, "the token that was set for it is refused")
            return ready
        session = self.session(index)
        if session is not None and self._usable(session.tokens, rejected):
            return session.tokens.access_token
        for _ in range(2):
            session = await self._shared(index, lambda: self._refresh(index, rejected))
            if session.tokens.access_token != rejected:
                return session.tokens.access_token
            # We joined an early refresh that failed and left the old token in use; ours must not.
        raise login_needed(index, "the login is refused")

    async def close(self) -> None:
        """Wait for a refresh under way, since its answer holds the only valid refresh token."""
        if self._refreshing:
            await asyncio.wait(self._refreshing.values(), timeout=CLOSE_LIMIT)

    def _usable(self, tokens: TokenSet, rejected: Secret | None) -> bool:
        return tokens.access_token != rejected and tokens.is_fresh(self._clock.now())

    async def _shared(
        self, index: Index, refresh: Callable[[], Coroutine[None, None, Session]]
    ) -> Session:
        key = session_key(index)
        task = self._refreshing.get(key)
        if task is None:
            task = asyncio.create_task(refresh())
            self._refreshing[key] = task
            task.add_done_callback(lambda _: self._refreshing.pop(key, None))
        # Shielded: a caller who leaves must not cancel a refresh that was already sent.
        return await asyncio.shield(task)

    async def _refresh(self, index: Index, rejected: Secret | None) -> Session:
        key = session_key(index)

        def waiting() -> None:
            self._context.prompt.notice(
                f"waiting for another crane process to refresh the login of {index.name}"
            )

        async with self._store.lock(key, "refresh", timeout=REFRESH_LOCK_LIMIT, notice=waiting):
            session = self._store.read(key)
            if session is not None and self._usable(session.tokens, rejected):
                return session
            try:
                renewed = await self._renew(index, session)
            except (LoginNeeded, ProviderError):
                if session is not None and self._still_good(session.tokens, rejected):
                    return session  # due for a refresh, but good for a while yet
                raise
            self._store.write(key, renewed)
            return renewed

    def _still_good(self, tokens: TokenSet, rejected: Secret | None) -> bool:
        return tokens.access_token != rejected and tokens.is_valid(self._clock.now())

    async def _renew(self, index: Index, session: Session | None) -> Session:
        """Refresh; where that is over, log in anew by a grant that needs no person."""
        try:
            if session is None:
                raise login_needed(index, "nobody is logged in")
            return await self._refreshed(index, session)
        except LoginNeeded:
            context = self._context
            if not may_be_unattended(index, context.environ, context.store.vault):
                raise
            provider = await index_provider(context.client(index), index)
            grant = context.chooser.unattended(index, provider)
            if grant is None:
                raise
            answer = await grant.run(context.request(index, provider))
            return Session(read_token_response(answer.payload, self._clock.now()), provider)

    async def _refreshed(self, index: Index, session: Session) -> Session:
        tokens, provider = session.tokens, session.provider
        # Whether it has expired is the provider's to say: our clock may have been set.
        if tokens.refresh_token is None:
            raise login_needed(index, "the login has expired")
        form = {
            "grant_type": "refresh_token",
            "refresh_token": tokens.refresh_token.reveal(),
        }
        if index.resource:
            form["resource"] = index.resource
        authentication = self._context.authentication(index, provider)
        try:
            answer = await post_form(
                self._context.client(index), provider.token_endpoint, form, authentication
            )
        except OAuthError as error:
            if error.error in SESSION_OVER:
                self._sign_out(index, session)
                raise login_needed(index, f"the login has ended ({error.error})") from error
            raise
        renewed = read_token_response(answer.payload, self._clock.now(), previous=tokens)
        return Session(renewed, provider)

    def _sign_out(self, index: Index, session: Session) -> None:
        # The dead refresh token goes, or every later request would offer it again. The access
        # token stays as long as it lives. A newer record, by whomever, is never touched.
        key = session_key(index)
        if self._store.read(key) == session:
            ended = replace(session.tokens, refresh_token=None, refresh_expires_at=None)
            self._store.write(key, replace(session, tokens=ended))


def login_needed(index: Index, reason: str) -> LoginNeeded:
    """Return the error that asks for a login at this index."""
    return LoginNeeded(f"{reason} at {index.name}", hint=f"run: crane login {index.name}")
