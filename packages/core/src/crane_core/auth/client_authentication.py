"""How a client proves to the provider which client it is (RFC 6749 §2.3, RFC 7523 §2.2)."""

from __future__ import annotations

import base64
import secrets
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from crane_core.errors import ConfigBroken

if TYPE_CHECKING:
    from crane_core.clock import Clock
    from crane_core.secret import Secret

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 60
ALGORITHMS = {
    "RSA": "RS256",
    "P-256": "ES256",
    "P-384": "ES384",
    "P-521": "ES512",
    "Ed25519": "EdDSA",
}


class ClientAuthentication(Protocol):
    """Adds what identifies the client to a request."""

    def apply(self, form: dict[str, str], headers: dict[str, str], audience: str) -> None:
        """Change the form and headers of a request; `audience` is who will check an assertion."""
        ...


@dataclass(frozen=True, slots=True)
class PublicClient:
    """A client that cannot keep a secret: its id, and no proof."""

    client_id: str

    def apply(self, form: dict[str, str], headers: dict[str, str], audience: str) -> None:
        """Add the client id."""
        form["client_id"] = self.client_id


@dataclass(frozen=True, slots=True)
class ClientSecretBasic:
    """`client_secret_basic`: id and secret form-encoded, then Basic (RFC 6749 §2.3.1)."""

    client_id: str
    secret: Secret

    def apply(self, form: dict[str, str], headers: dict[str, str], audience: str) -> None:
        """Add the Authorization header."""
        # A space as %20: all form decoders know it, and some servers do not know the plus sign.
        pair = f"{quote(self.client_id, safe='')}:{quote(self.secret.reveal(), safe='')}"
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"


@dataclass(frozen=True, slots=True)
class ClientSecretPost:
    """`client_secret_post`: id and secret in the form."""

    client_id: str
    secret: Secret

    def apply(self, form: dict[str, str], headers: dict[str, str], audience: str) -> None:
        """Add both to the form."""
        form["client_id"] = self.client_id
        form["client_secret"] = self.secret.reveal()


@dataclass(frozen=True, slots=True)
class PrivateKeyJWT:
    """`private_key_jwt`: a short-lived assertion, signed anew for each request (RFC 7523 §3)."""

    client_id: str
    private_key_pem: Secret
    clock: Clock

    def apply(self, form: dict[str, str], headers: dict[str, str], audience: str) -> None:
        """Add the assertion to the form. Raises `ConfigBroken` for a key that cannot sign."""
        form["client_id"] = self.client_id
        form["client_assertion_type"] = JWT_BEARER
        form["client_assertion"] = self._assertion(audience)

    def _assertion(self, audience: str) -> str:
        from joserfc import jwt

        now = int(self.clock.now())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": audience,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
        }
        key, algorithm = _signing_key(self.private_key_pem)
        with warnings.catch_warnings():
            # RFC 9864 renames EdDSA to Ed25519; providers know the old name, some that alone.
            warnings.simplefilter("ignore")
            return str(jwt.encode({"alg": algorithm}, claims, key, algorithms=[algorithm]))


def _signing_key(pem: Secret) -> tuple[Any, str]:
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    for kind in (RSAKey, ECKey, OKPKey):
        try:
            key: Any = kind.import_key(pem.reveal())
        except (JoseError, ValueError, TypeError):
            continue
        if (algorithm := ALGORITHMS.get(key.curve_name if kind is not RSAKey else "RSA")) is None:
            break
        return key, algorithm
    raise ConfigBroken(
        "the client key cannot sign", hint="give an unencrypted RSA, EC or Ed25519 key in PEM form"
    )
