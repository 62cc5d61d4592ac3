"""The realm that Keycloak imports: as `docs/providers.md` tells an administrator to set it up."""

from __future__ import annotations

import json
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey

SECRET = "p@ss:w%rd+&=/ ~?"
LOOPBACK = ["http://127.0.0.1/*", "http://localhost/*", "http://[::1]/*"]
GROUPS = {
    "name": "groups",
    "protocol": "openid-connect",
    "protocolMapper": "oidc-group-membership-mapper",
    "config": {
        "claim.name": "groups",
        "full.path": "true",
        "access.token.claim": "true",
        "id.token.claim": "true",
    },
}


def new_keys() -> dict[str, Any]:
    """Make a key for each algorithm that a client may sign with."""
    return {
        "RS256": RSAKey.generate_key(2048, {"kid": "rs"}),
        "ES256": ECKey.generate_key("P-256", {"kid": "es"}),
        "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "ed"}),
    }


def realm_file(keys: dict[str, Any]) -> dict[str, Any]:
    """Return the realm `crane` with its users and clients."""
    return {
        "realm": "crane",
        "enabled": True,
        "sslRequired": "none",
        # Rotation, and a refresh token that is used twice ends the session.
        "revokeRefreshToken": True,
        "refreshTokenMaxReuse": 0,
        "groups": [{"name": "everyone"}],
        "users": [_user("ada", ["/everyone"]), _user("eve", [])],
        "clients": [
            _native("crane-pip", device=True, mappers=[GROUPS]),
            _native("crane-as-made", device=False, mappers=[]),
            _native("crane-asks", device=True, mappers=[], consentRequired=True),
            _service("crane-ci", secret=SECRET),
            *(_signing(f"crane-ci-{name.lower()}", name, key) for name, key in keys.items()),
        ],
    }


def _user(name: str, groups: list[str]) -> dict[str, Any]:
    return {
        "username": name,
        "enabled": True,
        "email": f"{name}@firm.example",
        "emailVerified": True,
        "firstName": name,
        "lastName": "Example",
        "groups": groups,
        "realmRoles": ["default-roles-crane", "offline_access"],
        "credentials": [{"type": "password", "value": f"{name}-password"}],
    }


def _native(
    name: str, *, device: bool, mappers: list[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    return {
        "clientId": name,
        "publicClient": True,
        "standardFlowEnabled": True,
        "directAccessGrantsEnabled": False,
        "redirectUris": LOOPBACK,
        "attributes": {
            "oauth2.device.authorization.grant.enabled": str(device).lower(),
            "oauth2.device.polling.interval": "1",
            "pkce.code.challenge.method": "S256",
        },
        "protocolMappers": mappers,
        **more,
    }


def _service(name: str, **more: Any) -> dict[str, Any]:
    return {
        "clientId": name,
        "publicClient": False,
        "serviceAccountsEnabled": True,
        "standardFlowEnabled": False,
        **more,
    }


def _signing(name: str, algorithm: str, key: Any) -> dict[str, Any]:
    published = {**key.as_dict(private=False), "alg": algorithm, "use": "sig"}
    return _service(
        name,
        clientAuthenticatorType="client-jwt",
        attributes={
            "token.endpoint.auth.signing.alg": algorithm,
            "use.jwks.string": "true",
            "jwks.string": json.dumps({"keys": [published]}),
        },
    )
