"""Making tokens: RS256 JSON web tokens with the claims a Crane server reads (RFC 7519)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .clock import Clock
    from .models import Client, User
    from .settings import ProviderSettings

_KEY_BITS = 2048


class TokenSigner:
    """Holds the provider's key and signs with it."""

    def __init__(self, settings: ProviderSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._keys = [_new_key()]

    @property
    def key_set(self) -> KeySet:
        """The keys, newest first."""
        return KeySet(list(self._keys))

    def public_keys(self) -> dict[str, Any]:
        """Return the JWKS document (RFC 7517)."""
        return {"keys": [key.as_dict(private=False) for key in self._keys]}

    def rotate_key(self) -> None:
        """Sign with a new key from now on and publish only that."""
        self._keys = [_new_key()]

    def access_token(
        self,
        issuer: str,
        client: Client,
        user: User | None,
        scope: str,
        lifetime: int | None = None,
    ) -> str:
        """Sign an access token for a user, or for the client itself."""
        seconds = self._settings.access_lifetime if lifetime is None else lifetime
        claims = self._claims(issuer, self._settings.audience, seconds, _name(client, user))
        groups = client.groups if user is None else user.groups
        extra = {"azp": client.client_id, "groups": sorted(groups), "scope": scope}
        return self.sign({**claims, **extra}, typ=self._settings.token_type)

    def id_token(self, issuer: str, client: Client, user: User, nonce: str | None) -> str:
        """Sign an ID token (OpenID Connect Core, section 2)."""
        lifetime = self._settings.access_lifetime
        claims = self._claims(issuer, client.client_id, lifetime, user.name)
        return self.sign({**claims, "nonce": nonce} if nonce else claims, typ="JWT")

    def sign(self, claims: Mapping[str, Any], *, typ: str = "JWT") -> str:
        """Sign any claims."""
        key = self._keys[0]
        header = {"alg": "RS256", "typ": typ, "kid": key.kid}
        return jwt.encode(header, dict(claims), key)

    def _claims(self, issuer: str, audience: str, lifetime: int, name: str) -> dict[str, Any]:
        now = int(self._clock())
        return {
            "iss": issuer,
            "sub": name,
            "aud": audience,
            "exp": now + lifetime,
            "iat": now,
            "jti": secrets.token_urlsafe(12),
            "preferred_username": name,
        }


def _name(client: Client, user: User | None) -> str:
    return f"service-account-{client.client_id}" if user is None else user.name


def _new_key() -> RSAKey:
    key = RSAKey.generate_key(_KEY_BITS, {"use": "sig", "alg": "RS256"})
    key.ensure_kid()
    return key
