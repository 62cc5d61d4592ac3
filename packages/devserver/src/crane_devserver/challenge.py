"""Asking for a token as the standards say, which the Crane server itself does not do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .asgi import Answer, json_answer
from .negotiate import origin

if TYPE_CHECKING:
    from starlette.requests import Request

    from .behaviour import Behaviour

METADATA_PATH = "/.well-known/oauth-protected-resource"
"""Where protected resource metadata lies, before the resource's own path (RFC 9728)."""


def unauthorized(request: Request, behaviour: Behaviour) -> Answer:
    """Make the 401 to a request without token (RFC 6750, section 3; RFC 9728, section 5.1)."""
    value = 'Bearer realm="crane"'
    if behaviour.resource_metadata:
        first = str(request.scope["path"]).split("/")[1]
        url = f"{origin(request, behaviour)}{METADATA_PATH}/{first}"
        value = f'Bearer resource_metadata="{url}"'
    return Answer(401, headers=(("www-authenticate", value),))


def metadata(request: Request, behaviour: Behaviour, issuer: str | None) -> Answer:
    """Make the protected resource metadata (RFC 9728, section 3.2)."""
    # The resource must be exactly the URL it was asked for, or clients reject the answer.
    resource = origin(request, behaviour) + str(request.scope["path"]).removeprefix(METADATA_PATH)
    body = {
        "resource": resource,
        "authorization_servers": [issuer] if issuer else [],
        "bearer_methods_supported": ["header"],
    }
    return json_answer(200, body)
