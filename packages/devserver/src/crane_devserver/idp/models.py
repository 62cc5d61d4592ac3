"""Users, clients, codes and grants, in the shape authlib expects."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import ClientMixin

CODE = "authorization_code"
REFRESH = "refresh_token"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
CREDENTIALS = "client_credentials"

Users = Mapping[str, tuple[str, tuple[str, ...] | list[str] | frozenset[str]]]
"""Name → (password, groups)."""


@dataclass(frozen=True)
class User:
    """Somebody who can sign in."""

    name: str
    password: str = field(repr=False)
    groups: frozenset[str] = frozenset()

    def get_user_id(self) -> str:
        """Return the subject of the user's tokens."""
        return self.name

    def check_password(self, password: str) -> bool:
        """Compare a password in constant time."""
        return hmac.compare_digest(self.password.encode(), password.encode())


@dataclass(frozen=True)
class Client(ClientMixin):  # type: ignore[misc]  # authlib has no types
    """A registered client (RFC 6749, section 2). Without secret it is a public one.

    ``loopback`` allows any loopback redirect with any port (RFC 8252, section 7.3), as
    native applications need. ``groups`` are those of the client's own tokens.
    """

    client_id: str
    secret: str | None = field(default=None, repr=False)
    grant_types: frozenset[str] = frozenset({CODE, REFRESH, DEVICE})
    redirect_uris: tuple[str, ...] = ()
    loopback: bool = True
    groups: frozenset[str] = frozenset()
    auth_methods: frozenset[str] = frozenset({"client_secret_basic", "client_secret_post"})

    @property
    def public(self) -> bool:
        """Whether the client has no secret."""
        return self.secret is None

    def get_client_id(self) -> str:
        """Return the identifier."""
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        """Return the redirect for a request that names none: there is no such thing here."""
        return None

    def get_allowed_scope(self, scope: str | None) -> str:
        """Return the scope a token gets; the server has checked the names already."""
        return scope or ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Tell whether a redirect may be used."""
        return redirect_uri in self.redirect_uris or (self.loopback and is_loopback(redirect_uri))

    def check_client_secret(self, client_secret: str) -> bool:
        """Compare the secret in constant time."""
        known = (self.secret or "").encode()
        return self.secret is not None and hmac.compare_digest(known, client_secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Tell whether the client may authenticate in this way."""
        return method == "none" if self.public else method in self.auth_methods

    def check_response_type(self, response_type: str) -> bool:
        """Tell whether the client may use a response type; ``code`` is the only one."""
        return response_type == "code" and CODE in self.grant_types

    def check_grant_type(self, grant_type: str) -> bool:
        """Tell whether the client may use a grant."""
        return grant_type in self.grant_types


def is_loopback(uri: str) -> bool:
    """Tell whether a redirect goes to this machine over plain http."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
    return parts.scheme == "http" and loopback and not parts.fragment and not parts.username


@dataclass(frozen=True)
class AuthorizationCode:
    """An authorization code and what it stands for."""

    code: str
    client_id: str
    redirect_uri: str
    scope: str
    user: str
    expires_at: float
    code_challenge: str | None
    code_challenge_method: str | None
    nonce: str | None

    def get_redirect_uri(self) -> str:
        """Return the redirect the code was sent to."""
        return self.redirect_uri

    def get_scope(self) -> str:
        """Return the granted scope."""
        return self.scope


@dataclass
class Grant:
    """One consent of one user: the family of all refresh tokens that came from it."""

    client_id: str
    user: str
    revoked: bool = False


@dataclass
class RefreshToken:
    """A refresh token. Used ones are kept, since a second use is the sign of theft."""

    value: str = field(repr=False)
    grant: Grant
    scope: str
    expires_at: float | None
    used: bool = False

    def check_client(self, client: Client) -> bool:
        """Tell whether the token was issued to a client."""
        return self.grant.client_id == client.client_id

    def get_scope(self) -> str:
        """Return the granted scope."""
        return self.scope


@dataclass
class DeviceRequest:
    """A device's request for authorization (RFC 8628), until it is redeemed."""

    device_code: str = field(repr=False)
    user_code: str
    client_id: str
    scope: str
    expires_at: float
    interval: int
    expired: bool = False
    last_poll: float | None = None
    user: str | None = None
    denied: bool = False

    @property
    def pending(self) -> bool:
        """Whether nobody has decided yet."""
        return self.user is None and not self.denied

    def get_client_id(self) -> str:
        """Return the client that asked."""
        return self.client_id

    def get_scope(self) -> str:
        """Return the scope that was asked for."""
        return self.scope

    def get_user_code(self) -> str:
        """Return the code the user types."""
        return self.user_code

    def is_expired(self) -> bool:
        """Tell whether it is too late."""
        return self.expired
