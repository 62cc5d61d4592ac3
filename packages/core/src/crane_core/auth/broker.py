"""The one owner of tokens: hands out fresh ones, and refreshes one at a time."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Self

from crane_core.auth.choose import began_with_a_person, may_be_unattended
from crane_core.auth.credentials import ready_token
from crane_core.auth.discovery import index_provider
from crane_core.auth.endpoint import OAuthError, post_form
from crane_core.auth.model import Session, session_key
from crane_core.auth.tokens import read_identity, read_token_response
from crane_core.errors import (
    LoginError,
    LoginNeeded,
    ProviderAnswer,
    ProviderError,
    StorageError,
)
from crane_core.flight import SingleFlight

if TYPE_CHECKING:
    from crane_core.auth.context import AuthContext
    from crane_core.auth.endpoint import Answer
    from crane_core.auth.model import Identity, SessionKey, TokenSet
    from crane_core.config.model import Index
    from crane_core.secret import Secret

# `invalid_target` is here since providers burn the refresh token before they check the target.
SESSION_OVER = frozenset({"invalid_grant", "invalid_target"})
CLOSE_LIMIT = 35.0
REFRESH_LOCK_LIMIT = 60.0  # seconds; a refresh itself takes 30 s at most


class Broker:
    """Hands out access tokens.

    The protocol of a refresh, across tasks, threads and processes: lock; read again; if another
    has refreshed meanwhile, use that; else make sure that what comes can be kept; refresh with
    the refresh token just read; write and fsync; only then use. So no refresh token is used
    twice, and a crash loses at most the answer under way, which ends in a new login.
    """

    def __init__(self, context: AuthContext) -> None:
        self._context = context
        self._store = context.store
        self._clock = context.clock
        self._refreshing: SingleFlight[SessionKey, Session] = SingleFlight()
        self._ready: dict[str, asyncio.Task[Secret | None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def session(self, index: Index) -> Session | None:
        """Return the stored session of an index."""
        return self._store.read_for(index)

    def identity(self, index: Index) -> str | None:
        """Return what stands for whoever is logged in at this index, None if that is nobody.

        It begins with `login_prefix` and is another one for another person's login; None also for
        a person of whom the provider says nothing, since the next one would look the same. It is
        no secret, and says nothing of whether the login still works.
        """
        if ready := self._known_ready(index):
            digest = hashlib.sha256(ready.reveal().encode()).hexdigest()
            # Of the index's login like any other: a logout ends what was given for it.
            return f"{login_prefix(index)}ready:{digest[:32]}"
        session = self.session(index)
        if session is None:
            return None
        who = session.identity.subject if session.identity else None
        who = who or session.tokens.account or ("" if began_with_a_person(session) else "service")
        return login_prefix(index) + who if who else None

    def is_valid(self, index: Index) -> bool:
        """Whether a token is at hand that has not run out."""
        if self._known_ready(index) is not None:
            return True
        session = self.session(index)
        return session is not None and session.tokens.is_valid(self._clock.now())

    def _known_ready(self, index: Index) -> Secret | None:
        task = self._ready.get(index.name)
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    async def access_token(self, index: Index, *, rejected: Secret | None = None) -> Secret:
        """Return a token for this index; not the `rejected` one, which the index answered 401.

        Raises `LoginNeeded` when only a person can help, `ProviderUnreachable` when the provider
        is down and no valid token is left.
        """
        ready = await self._ready_token(index, rejected)
        if ready is not None:
            if ready == rejected:
                raise login_needed(index, "the token that was set for it is refused")
            return ready
        session = self.session(index)
        if session is not None and self._usable(session.tokens, rejected):
            return session.tokens.access_token
        for _ in range(2):
            session = await self._refreshing.run(
                session_key(index), lambda: self._refresh(index, rejected)
            )
            if session.tokens.access_token != rejected:
                return session.tokens.access_token
            # We joined an early refresh that failed and left the old token in use; ours must not.
        raise login_needed(index, "the login is refused")

    async def _ready_token(self, index: Index, rejected: Secret | None) -> Secret | None:
        """Return a token that somebody else takes care of, kept until the index refuses it.

        A command is not to be run for each page and file of an install: who asks while it runs
        gets what it gives, or how it fails.
        """
        task = self._ready.get(index.name)
        if task is None or _is_used_up(task, rejected):
            task = asyncio.create_task(ready_token(index, self._context.environ))
            # Who asked may all have left; asyncio complains about an error that nobody looks at.
            task.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._ready[index.name] = task
        # Shielded: a caller who leaves must not take the token from the others.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for a refresh under way, since its answer holds the only valid refresh token."""
        await self._refreshing.finish(CLOSE_LIMIT)

    def _usable(self, tokens: TokenSet, rejected: Secret | None) -> bool:
        return tokens.access_token != rejected and tokens.is_fresh(self._clock.now())

    async def _refresh(self, index: Index, rejected: Secret | None) -> Session:
        key = session_key(index)

        def waiting() -> None:
            self._context.prompt.notice(
                f"waiting for another crane process to refresh the login of {index.name}"
            )

        try:
            async with self._store.lock(key, "refresh", timeout=REFRESH_LOCK_LIMIT, notice=waiting):
                session = self._store.read(key)
                if session is not None and self._usable(session.tokens, rejected):
                    return session
                renewed = await self._renew(index, session)
                self._store.write(key, renewed)
                return renewed
        except (LoginError, ProviderError, StorageError):
            session = self._store.read(key)
            if session is not None and self._still_good(session.tokens, rejected):
                return session  # due for a refresh, but good for a while yet
            raise

    def _still_good(self, tokens: TokenSet, rejected: Secret | None) -> bool:
        return tokens.access_token != rejected and tokens.is_valid(self._clock.now())

    async def _renew(self, index: Index, session: Session | None) -> Session:
        """Refresh; where that is over, log in anew by a grant that needs no person.

        Not where a person had logged in: a service must not act in their place unnoticed.
        """
        try:
            if session is None:
                raise login_needed(index, "nobody is logged in")
            return await self._refreshed(index, session)
        except LoginNeeded:
            context = self._context
            if not may_be_unattended(index, context.environ, context.store.vault, session):
                raise
            provider = await index_provider(context.client(index), index)
            grant = context.chooser.unattended(index, provider, session)
            if grant is None:
                raise
            answer = await grant.run(context.request(index, provider))
            tokens = read_token_response(answer.payload, self._clock.now())
            return Session(tokens, provider, grant.name)

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
        # It is used up once it is sent, and the next one must be kept.
        self._store.require_writable(session_key(index))
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
        if not began_with_a_person(session):
            return replace(session, tokens=renewed)
        identity = self._identity_again(index, session, answer)
        return replace(session, tokens=renewed, identity=identity)

    def _identity_again(self, index: Index, session: Session, answer: Answer) -> Identity | None:
        # The end of a repeated ID token is not looked at: some providers repeat the first one.
        known, issuer = session.identity, session.provider.issuer
        try:
            named = read_identity(answer.payload, index.client_id, issuer, before=known)
        except ProviderAnswer as error:
            # Whoever it names now, our refresh token is used up, and only a login can tell.
            self._sign_out(index, session)
            raise login_needed(index, f"the login has ended ({error.message})") from error
        return known or named

    def _sign_out(self, index: Index, session: Session) -> None:
        # The dead refresh token goes, or every later request would offer it again. The access
        # token stays as long as it lives. A newer record, by whomever, is never touched.
        key = session_key(index)
        if self._store.read(key) == session:
            ended = replace(session.tokens, refresh_token=None, refresh_expires_at=None)
            self._store.write(key, replace(session, tokens=ended))


def _is_used_up(task: asyncio.Task[Secret | None], rejected: Secret | None) -> bool:
    if not task.done():
        return False
    if task.cancelled() or task.exception() is not None:
        return True
    return rejected is not None and task.result() == rejected


@lru_cache(256)
def login_prefix(index: Index) -> str:
    """Return how each identity begins that this index's session may have."""
    return identity_prefix(session_key(index))


def identity_prefix(key: SessionKey) -> str:
    """Return how each identity begins that this session may have."""
    return f"{key.digest}:"


def login_needed(index: Index, reason: str) -> LoginNeeded:
    """Return the error that asks for a login at this index."""
    return LoginNeeded(f"{reason} at {index.name}", hint=f"run: crane login {index.name}")
