"""Logging in and out: what a person asks for, in whole."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.auth.choose import UNATTENDED, began_with_a_person, may_be_unattended
from crane_core.auth.credentials import is_ready_made
from crane_core.auth.discovery import index_provider
from crane_core.auth.endpoint import OAuthError, post_revocation
from crane_core.auth.model import Session, session_key
from crane_core.auth.tokens import read_identity, read_token_response
from crane_core.errors import CraneError, LoginExpired, LoginNeeded

if TYPE_CHECKING:
    from crane_core.auth.context import AuthContext
    from crane_core.auth.model import SessionKey
    from crane_core.config.model import Index

LOGIN_LOCK_LIMIT = 1_860.0  # seconds; as long as a person may take
SKEW_WORTH_SAYING = 300.0
UNSUPPORTED = "unsupported_token_type"  # RFC 7009 §2.2.1


@dataclass(frozen=True, slots=True)
class Login:
    """Logs a person in, once for all processes that ask at the same time.

    `grant` is the grant to use, None to choose; `timeout` the seconds a person gets, None for
    as long as the grant allows.
    """

    context: AuthContext
    grant: str | None = None
    timeout: float | None = None

    async def run(self, index: Index) -> Session:
        """Log in at this index and store the session.

        Where another process is logging in at the same time, its result is adopted. Raises
        `LoginNeeded` at once where nobody can answer, else a `LoginError` or `ProviderError`.
        """
        store, prompt = self.context.store, self.context.prompt
        if is_ready_made(index, self.context.environ):
            raise LoginNeeded(
                f"the token that was set for {index.name} is not good, and a login would not count",
                hint=f"set another CRANE_TOKEN_{index.variable_suffix} or token-command, or none",
            )
        key = session_key(index)
        before = store.read(key)
        store.settle(prompt.notice)

        def waiting() -> None:
            prompt.notice(f"another crane process is logging in at {index.name}; waiting")

        patience = LOGIN_LOCK_LIMIT if self.timeout is None else self.timeout
        async with store.lock(key, "login", timeout=patience, notice=waiting):
            session = store.read(key)
            if session is not None and _is_newer(session, before):
                return session
            try:
                async with asyncio.timeout(self.timeout):
                    session = await self._ask(index, session)
            except TimeoutError:
                raise LoginExpired(
                    f"nobody completed the login in {self.timeout:.0f} s",
                    hint=f"run: crane login {index.name}",
                ) from None
            async with store.lock(key, "refresh", timeout=60.0, notice=waiting):
                store.write(key, session)
            return session

    async def _ask(self, index: Index, before: Session | None) -> Session:
        context = self.context
        self._refuse_where_nobody_is(index, before)
        provider = await index_provider(context.client(index), index)
        grant = context.chooser.choose(index, provider, self.grant, before)
        answer = await grant.run(context.request(index, provider))
        now = context.clock.now()
        if answer.server_time is not None and abs(answer.server_time - now) > SKEW_WORTH_SAYING:
            minutes = round((now - answer.server_time) / 60)
            context.prompt.notice(
                f"this machine's clock is {abs(minutes)} minutes "
                f"{'ahead of' if minutes > 0 else 'behind'} the identity provider's"
            )
        tokens, identity = read_token_response(answer.payload, now), None
        if grant.interactive:
            identity = read_identity(answer.payload, index.client_id, provider.issuer)
        return Session(tokens, provider, grant.name, identity)

    def _refuse_where_nobody_is(self, index: Index, before: Session | None) -> None:
        """Raise `LoginNeeded` before the provider is asked, where it could not help anyway."""
        context = self.context
        if context.prompt.can_answer:
            return
        wanted = self.grant or index.grant
        unattended = wanted in UNATTENDED or may_be_unattended(
            index, context.environ, context.store.vault
        )
        if unattended and wanted is None and began_with_a_person(before):
            raise LoginNeeded(
                f"the login at {index.name} was a person's, and nobody can answer here",
                hint=f"run: crane login {index.name} at a terminal, or, for a service to log in "
                f"by itself: crane logout {index.name}",
            )
        if not unattended:
            raise LoginNeeded(
                f"nobody is logged in at {index.name}, and nobody can answer here",
                hint=f"run: crane login {index.name} at a terminal, or set "
                f"CRANE_TOKEN_{index.variable_suffix}",
            )


def _is_newer(session: Session, before: Session | None) -> bool:
    """Whether somebody has logged in meanwhile; a login that has ended changes, too."""
    return before is None or session.tokens.issued_at != before.tokens.issued_at


@dataclass(frozen=True, slots=True)
class Logout:
    """Ends a session at the provider and on this machine."""

    context: AuthContext

    async def run(self, index: Index) -> str | None:
        """Revoke the tokens (RFC 7009) and delete the session.

        Every account of the index is logged out, unless the index names one.

        The session is deleted even if the provider cannot be asked. Returns why a revocation
        did not take place, None if it did or nobody was logged in.
        """
        store = self.context.store
        one = index.account is not None
        problems = [
            await self._end(index, key)
            for key in ([session_key(index)] if one else store.accounts(index))
        ]
        return next((problem for problem in problems if problem), None)

    async def _end(self, index: Index, key: SessionKey) -> str | None:
        store = self.context.store
        async with store.lock(key, "refresh", timeout=60.0, notice=lambda: None):
            session = store.read(key)
            store.delete(key)
        return None if session is None else await self._revoke(index, session)

    async def _revoke(self, index: Index, session: Session) -> str | None:
        endpoint = session.provider.revocation_endpoint
        if endpoint is None:
            return "the identity provider offers no revocation"
        # The refresh token first: with it goes the whole grant at most providers (RFC 7009 §2.1).
        tokens = {
            "refresh_token": session.tokens.refresh_token,
            "access_token": session.tokens.access_token,
        }
        for hint, token in tokens.items():
            if token is None:
                continue
            form = {"token": token.reveal(), "token_type_hint": hint}
            try:
                authentication = self.context.authentication(index, session.provider)
                await post_revocation(self.context.client(index), endpoint, form, authentication)
            except CraneError as error:
                if isinstance(error, OAuthError) and error.error == UNSUPPORTED:
                    continue  # a self-contained token, which ends by itself in minutes
                return error.message
        return None
