"""Logging in and out: what a person asks for, in whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.auth.broker import login_needed
from crane_core.auth.device import request_device_code, wait_for_tokens
from crane_core.auth.discovery import index_provider
from crane_core.auth.endpoint import OAuthError, post_revocation
from crane_core.auth.model import Session, session_key
from crane_core.auth.tokens import read_token_response
from crane_core.errors import CraneError

if TYPE_CHECKING:
    from crane_core.auth.model import Prompt
    from crane_core.auth.sessions import SessionStore
    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.http import Client

LOGIN_LOCK_LIMIT = 900.0  # seconds; as long as a person may take
SKEW_WORTH_SAYING = 300.0
UNSUPPORTED = "unsupported_token_type"  # RFC 7009 §2.2.1


@dataclass(frozen=True, slots=True)
class Login:
    """Logs a person in, once for all processes that ask at the same time."""

    store: SessionStore
    client: Client
    clock: Clock
    prompt: Prompt

    async def run(self, index: Index) -> Session:
        """Log in at this index and store the session.

        Where another process is logging in at the same time, its result is adopted. Raises
        `LoginNeeded` at once where nobody can answer, else a `LoginError` or `ProviderError`.
        """
        if not self.prompt.can_answer:
            raise login_needed(index, "nobody is logged in, and nobody can answer here,")
        key = session_key(index)
        before = self.store.read(key)

        def waiting() -> None:
            self.prompt.notice(f"another crane process is logging in at {index.name}; waiting")

        async with self.store.lock(key, "login", timeout=LOGIN_LOCK_LIMIT, notice=waiting):
            session = self.store.read(key)
            if session is not None and session != before:
                return session
            session = await self._ask(index)
            async with self.store.lock(key, "refresh", timeout=60.0, notice=waiting):
                self.store.write(key, session)
            return session

    async def _ask(self, index: Index) -> Session:
        provider = await index_provider(self.client, index)
        request = await request_device_code(self.client, provider, index)
        self.prompt.show_device_code(index, request)
        answer = await wait_for_tokens(self.client, provider, index, request, self.clock)
        now = self.clock.now()
        if answer.server_time is not None and abs(answer.server_time - now) > SKEW_WORTH_SAYING:
            minutes = round((now - answer.server_time) / 60)
            self.prompt.notice(
                f"this machine's clock is {abs(minutes)} minutes "
                f"{'ahead of' if minutes > 0 else 'behind'} the identity provider's"
            )
        return Session(read_token_response(answer.payload, now), provider)


@dataclass(frozen=True, slots=True)
class Logout:
    """Ends a session at the provider and on this machine."""

    store: SessionStore
    client: Client

    async def run(self, index: Index) -> str | None:
        """Revoke the tokens (RFC 7009) and delete the session.

        The session is deleted even if the provider cannot be asked. Returns why a revocation
        did not take place, None if it did or nobody was logged in.
        """
        key = session_key(index)
        async with self.store.lock(key, "refresh", timeout=60.0, notice=lambda: None):
            session = self.store.read(key)
            self.store.delete(key)
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
            form = {"token": token.reveal(), "token_type_hint": hint, "client_id": index.client_id}
            try:
                await post_revocation(self.client, endpoint, form)
            except CraneError as error:
                if isinstance(error, OAuthError) and error.error == UNSUPPORTED:
                    continue  # a self-contained token, which ends by itself in minutes
                return error.message
        return None
