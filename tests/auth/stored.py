"""A user's stored login, to look at and to age."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from auth.kit import store_in
from idp.oidc import Realm, Request
from support.world import User

from crane_core.auth.model import Session, SessionKey, TokenSet, session_key
from crane_core.auth.sessions import SessionStore
from crane_core.config.store import ConfigStore


@dataclass(frozen=True)
class Stored:
    """The one session of a user's one index."""

    store: SessionStore
    key: SessionKey

    @property
    def session(self) -> Session:
        """The session, as it is on disk now."""
        session = self.store.read(self.key)
        assert session is not None
        return session

    @property
    def tokens(self) -> TokenSet:
        """Its tokens."""
        return self.session.tokens

    def change(self, **tokens: Any) -> None:
        """Store it with other values."""
        session = self.session
        self.store.write(self.key, replace(session, tokens=replace(session.tokens, **tokens)))


def stored(user: User) -> Stored:
    """Return the user's session."""
    (index,) = ConfigStore(user.config_file).load()
    return Stored(store_in(user.sessions), session_key(index))


def expire(user: User) -> None:
    """Let the stored access token have ended."""
    now = time.time()
    stored(user).change(issued_at=now - 400, expires_at=now - 100)


def refreshes(realm: Realm) -> list[Request]:
    """Return the refreshes that the provider has seen."""
    return realm.requests("token", grant="refresh_token")


def assert_none_used_twice(realm: Realm) -> None:
    """No refresh token was redeemed twice."""
    used = [r.params["refresh_token"] for r in refreshes(realm) if r.status == 200]
    assert len(used) == len(set(used))
