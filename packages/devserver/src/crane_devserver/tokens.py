"""Checking bearer tokens as a Crane server does (RFC 6750, RFC 7519).

Checked are the RS256 signature, ``exp`` and ``nbf``. Issuer, audience and scope are
*not*, and a token that calls itself ``at+jwt`` (RFC 9068) is refused: both are surprising,
both are what the real server does, and a client has to live with them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from joserfc import jws, jwt
from joserfc.errors import JoseError

from .access import Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from joserfc.jwk import Key, KeySet

    from .keys import KeySource

LEEWAY_SECONDS = 60
_ALGORITHMS = ["RS256"]


class TokenRefusedError(Exception):
    """The bearer token is not valid."""


class TokenVerifier:
    """Turns the ``Authorization`` header into the caller's identity."""

    def __init__(
        self,
        keys: KeySource,
        *,
        clock: Callable[[], float] = time.time,
        user_claim: str = "preferred_username",
        groups_claim: str = "groups",
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._user_claim = user_claim
        self._groups_claim = groups_claim

    async def identify(self, authorization: str | None) -> Identity | None:
        """Return the caller; ``None`` without a bearer token. Basic counts as none."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        claims = await self._verified(token.strip())
        self._check_times(claims)
        return self._identity(claims)

    async def _verified(self, token: str) -> Mapping[str, Any]:
        try:
            header = jws.extract_compact(token.encode()).headers()
            if str(header.get("typ", "JWT")).upper() != "JWT":
                raise TokenRefusedError(f"type {header['typ']}")
            kid = header.get("kid")
            key = _pick(await self._keys.keys_for(kid), kid)
            return jwt.decode(token, key, algorithms=_ALGORITHMS).claims
        except (JoseError, ValueError, TypeError) as error:
            raise TokenRefusedError(str(error)) from error

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clock()
        if _number(claims, "exp", now) + LEEWAY_SECONDS < now:
            raise TokenRefusedError("expired")
        if _number(claims, "nbf", now) - LEEWAY_SECONDS > now:
            raise TokenRefusedError("not valid yet")

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        user = claims.get(self._user_claim, claims.get("sub"))
        if not isinstance(user, str):
            raise TokenRefusedError("no user name")
        groups = claims.get(self._groups_claim)
        names = groups if isinstance(groups, list) else []
        # Keycloak writes full group paths: /team.
        return Identity(user, frozenset(str(name).removeprefix("/") for name in names), claims)


def _pick(keys: KeySet, kid: str | None) -> Key:
    return keys.get_by_kid(kid)


def _number(claims: Mapping[str, Any], name: str, default: float) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenRefusedError(f"{name} is no number")
    return float(value)
