"""The values that login is about."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from crane_core.urls import origin_of

if TYPE_CHECKING:
    from crane_core.config.model import Index
    from crane_core.secret import Secret


# The origin of a session that its user has declared good for several indexes.
SHARED = "shared"


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """What crane needs of an authorization server's metadata (RFC 8414 §2).

    `issuer` is None where the user gave the endpoints by hand.
    """

    token_endpoint: str
    issuer: str | None = None
    authorization_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None
    grant_types: tuple[str, ...] | None = None
    code_challenge_methods: tuple[str, ...] | None = None
    token_auth_methods: tuple[str, ...] | None = None
    sends_issuer: bool = False


@dataclass(frozen=True, slots=True)
class DeviceAuthorization:
    """The answer of the device authorization endpoint (RFC 8628 §3.2); times in seconds."""

    device_code: Secret
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_in: float
    interval: float
    code_verifier: Secret | None = None


@dataclass(frozen=True, slots=True)
class TokenSet:
    """A token response (RFC 6749 §5.1) with absolute times, in seconds since the epoch.

    None as a time means that the provider named no end. `account` is for people to read only.
    """

    access_token: Secret
    issued_at: float
    expires_at: float | None = None
    refresh_token: Secret | None = None
    refresh_expires_at: float | None = None
    scope: str | None = None
    account: str | None = None

    def is_valid(self, now: float) -> bool:
        """Whether the access token has not reached its end."""
        return self.expires_at is None or now < self.expires_at

    def is_fresh(self, now: float) -> bool:
        """Whether it need not be refreshed yet: early by 10% of its life, 30 s at most."""
        if self.expires_at is None or self.refresh_token is None:
            return self.is_valid(now)
        early = min(30.0, max(0.0, self.expires_at - self.issued_at) * 0.1)
        return now < self.expires_at - early

    def can_refresh(self, now: float) -> bool:
        """Whether there is a refresh token that has not reached its end."""
        if self.refresh_token is None:
            return False
        return self.refresh_expires_at is None or now < self.refresh_expires_at


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What makes two logins the same: the index's origin, the provider, the client and the rights.

    The origin is part of it, so that registering another index with the same provider never
    sends an existing token to a new host.
    """

    origin: str
    provider: str
    client_id: str
    scope: str
    audience: str | None = None
    resource: str | None = None
    account: str | None = None

    @property
    def digest(self) -> str:
        """A file name for the session."""
        return _digest(self)


@lru_cache(256)
def _digest(key: SessionKey) -> str:
    # Each page asks whose it is, twice.
    text = json.dumps(asdict(key), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the ID token of a login names, to compare each later one with it."""

    issuer: str | None
    subject: str | None
    audiences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """A stored login: the tokens and where to renew and revoke them.

    `grant` is the name of the grant by which it began. None is unknown, as in files of older
    versions and for logins of other programs; that counts as a person's.
    """

    tokens: TokenSet
    provider: ProviderMetadata
    grant: str | None = None
    identity: Identity | None = None


def session_key(index: Index) -> SessionKey:
    """Return the session that an index uses."""
    return SessionKey(
        origin=SHARED if index.share_login else str(origin_of(index.url)),
        provider=index.issuer or index.token_endpoint or "",
        client_id=index.client_id,
        scope=index.scope,
        audience=index.audience,
        resource=index.resource,
        account=index.account,
    )


class Prompt(Protocol):
    """The person in front of a terminal, or nobody."""

    @property
    def can_answer(self) -> bool:
        """Whether somebody is there to log in."""
        ...

    @property
    def has_browser(self) -> bool:
        """Whether a browser would open in front of them."""
        ...

    def show_authorization(self, index: Index, url: str) -> None:
        """Show the address of a login in the browser, and open it."""
        ...

    def show_device_code(self, index: Index, request: DeviceAuthorization) -> None:
        """Show address and code, and open a browser where there is one."""
        ...

    def notice(self, text: str) -> None:
        """Say one line, for example what crane waits for."""
        ...
