"""The client credentials grant (RFC 6749 §4.4): a service logs in as itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from crane_core.auth.endpoint import Answer
    from crane_core.auth.grants.model import GrantRequest


class ClientCredentials:
    """Tokens for a client that has a secret or a key."""

    name: ClassVar[str] = "client-credentials"
    interactive: ClassVar[bool] = False

    async def run(self, request: GrantRequest) -> Answer:
        """Ask the token endpoint."""
        parameters = request.extra_parameters()
        # There is nobody whose offline access could be granted, and some providers refuse it.
        scopes = [s for s in parameters.get("scope", "").split() if s not in _FOR_PERSONS]
        parameters["scope"] = " ".join(scopes)
        form = {"grant_type": "client_credentials", **{k: v for k, v in parameters.items() if v}}
        return await request.redeem(form)


_FOR_PERSONS = frozenset({"openid", "offline_access"})
