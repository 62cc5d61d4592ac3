"""The provider's metadata (RFC 8414, OpenID Connect Discovery 1.0)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .models import CODE, CREDENTIALS, DEVICE, REFRESH

if TYPE_CHECKING:
    from .settings import ProviderSettings

OAUTH = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"

_AUTH_METHODS = ["none", "client_secret_basic", "client_secret_post"]


def metadata(issuer: str, settings: ProviderSettings) -> dict[str, Any]:
    """Write the document both well-known paths serve."""
    document: dict[str, Any] = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/jwks",
        "revocation_endpoint": f"{issuer}/revoke",
        "scopes_supported": list(settings.scopes),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [CODE, REFRESH, CREDENTIALS],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": _AUTH_METHODS,
        "revocation_endpoint_auth_methods_supported": _AUTH_METHODS,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }
    if settings.device_flow:
        document["grant_types_supported"].append(DEVICE)
        document["device_authorization_endpoint"] = f"{issuer}/device_authorization"
    return document
