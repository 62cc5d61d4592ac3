"""Token responses, read as RFC 6749 §5.1 says and no further."""

from __future__ import annotations

import base64
import math
from typing import Any

from crane_core.auth.endpoint import printable
from crane_core.auth.model import Identity, TokenSet
from crane_core.errors import ProviderAnswer
from crane_core.http import json_object
from crane_core.secret import Secret

# A longer life than this is no promise but a mistake; the token is then renewed on a 401.
LONGEST_LIFE = 10 * 365 * 86_400.0
LONGEST_TOKEN = 64 * 1024
SKEW = 300.0  # seconds that an ID token may have ended ago


def read_token_response(
    payload: dict[str, Any], now: float, *, previous: TokenSet | None = None
) -> TokenSet:
    """Return the tokens of a successful response.

    A refresh that brings no new refresh token keeps the previous one (RFC 6749 §6). Raises
    `ProviderAnswer`; then nothing of the response is to be used.
    """
    access_token = _token(payload, "access_token", required=True)
    assert access_token is not None
    token_type = payload.get("token_type", "Bearer")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        raise _malformed(f"token_type is not Bearer but {str(token_type)[:20]!r}")
    claims = claims_of(access_token)
    lifetime = _seconds(payload, "expires_in")
    if lifetime is None:
        lifetime = _lifetime_hint(claims)
    refresh_token = _token(payload, "refresh_token")
    refresh_lifetime = _seconds(payload, "refresh_expires_in")
    refresh_expires_at = now + refresh_lifetime if refresh_lifetime else None
    if refresh_token is None and previous is not None:
        refresh_token, refresh_expires_at = previous.refresh_token, previous.refresh_expires_at
    scope = payload.get("scope")
    return TokenSet(
        access_token=access_token,
        issued_at=now,
        expires_at=None if lifetime is None else now + lifetime,
        refresh_token=refresh_token,
        # Keycloak says 0 for an offline token, which has no end.
        refresh_expires_at=refresh_expires_at,
        scope=scope if isinstance(scope, str) else None,
        account=_account(_token(payload, "id_token"), claims, previous),
    )


def read_identity(
    payload: dict[str, Any],
    client_id: str,
    issuer: str | None,
    *,
    now: float | None = None,
    nonce: str | None = None,
    before: Identity | None = None,
) -> Identity | None:
    """Return whom the ID token of a response names, None if it has none.

    The token came straight from the token endpoint over TLS, which may stand for its signature
    (OpenID Connect Core §3.1.3.7). Raises `ProviderAnswer` if it is for another client, of
    another issuer than `issuer`, of another login than that of `nonce`, had ended at `now`, or
    names somebody else than `before` (§12.2). What has not the form of a JWT is not looked at.
    """
    token = _token(payload, "id_token")
    if token is None or token.reveal().count(".") != 2:
        return None
    claims = claims_of(token)
    named = _identity(claims)
    several = len(named.audiences) > 1
    for wrong, reason in (
        (not claims, "it cannot be read"),
        (client_id not in named.audiences, "it is for another client (aud)"),
        (several and claims.get("azp") not in (None, client_id), "it is another client's (azp)"),
        (
            not _is_of(issuer, claims),
            f"it is of {printable(claims.get('iss'), 200)}, not of {issuer} (iss)",
        ),
        (nonce is not None and claims.get("nonce") != nonce, "it is of another login (nonce)"),
        (now is not None and _has_ended(claims, now), "it has expired (exp)"),
        (before is not None and _differs(before, named), "it names somebody else than before"),
    ):
        if wrong:
            raise ProviderAnswer(
                f"the identity provider's ID token is refused: {reason}",
                hint="nothing was stored; tell the provider's administrators",
            )
    return named


def _identity(claims: dict[str, Any]) -> Identity:
    issuer, subject, audience = (claims.get(name) for name in ("iss", "sub", "aud"))
    audiences = audience if isinstance(audience, list) else [audience]
    return Identity(
        issuer if isinstance(issuer, str) else None,
        subject if isinstance(subject, str) else None,
        tuple(name for name in audiences if isinstance(name, str)),
    )


def _is_of(issuer: str | None, claims: dict[str, Any]) -> bool:
    named = claims.get("iss")
    if named is None or issuer is None:
        return True
    # Entra ID's issuer for all tenants is a pattern, which the token's own tenant fills.
    known = issuer.replace("{tenantid}", str(claims.get("tid"))).rstrip("/")
    # Core §15.6.2: Google leaves the scheme out.
    return isinstance(named, str) and named.rstrip("/") in {known, known.removeprefix("https://")}


def _has_ended(claims: dict[str, Any], now: float) -> bool:
    end = claims.get("exp")
    return isinstance(end, (int, float)) and end < now - SKEW


def _differs(before: Identity, named: Identity) -> bool:
    pairs = (
        (before.issuer, named.issuer),
        (before.subject, named.subject),
        (frozenset(before.audiences), frozenset(named.audiences)),
    )
    return any(old and new and old != new for old, new in pairs)


def _token(payload: dict[str, Any], name: str, *, required: bool = False) -> Secret | None:
    value = payload.get(name)
    if value is None and not required:
        return None
    # RFC 6749 Appendix A.12: printable ASCII. Anything else could break out of a header.
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TOKEN:
        raise _malformed(f"no usable {name}")
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise _malformed(f"{name} has characters that no token has")
    return Secret(value)


def _seconds(payload: dict[str, Any], name: str) -> float | None:
    value = payload.get(name)
    if value is None or value == "":
        return None
    try:
        # Some providers send the number as a string.
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isnan(number) or number < 0:
        raise _malformed(f"{name} is {str(value)[:20]!r}, no number of seconds")
    return number if number <= LONGEST_LIFE else None


def _lifetime_hint(claims: dict[str, Any]) -> float | None:
    # The difference of two of the provider's own times: this machine's clock plays no part.
    start, end = claims.get("iat", claims.get("nbf")), claims.get("exp")
    if not isinstance(start, (int, float)) or not isinstance(end, (int, float)):
        return None
    try:
        lifetime = float(end) - float(start)
    except OverflowError:
        return None
    return lifetime if 0 < lifetime <= LONGEST_LIFE else None


def _account(
    id_token: Secret | None, claims: dict[str, Any], previous: TokenSet | None
) -> str | None:
    sources = [claims_of(id_token) if id_token else {}, claims]
    for name in ("preferred_username", "email", "upn", "sub"):
        for source in sources:
            value = source.get(name)
            if isinstance(value, str) and value.isprintable() and 0 < len(value) <= 200:
                return value
    return previous.account if previous else None


def claims_of(token: Secret) -> dict[str, Any]:
    """Return a JWT's claims without any check: hints for people, never a decision about access."""
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return {}
    try:
        return json_object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))) or {}
    except ValueError:
        return {}


def _malformed(reason: str) -> ProviderAnswer:
    return ProviderAnswer(
        f"the identity provider's token answer is malformed: {reason}",
        hint="nothing was stored; tell the provider's administrators",
    )
