"""Trading the surroundings' identity token for an access token (RFC 8693, RFC 7523 §2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from crane_core.auth.endpoint import OAuthError
from crane_core.auth.workload.commands import run_command
from crane_core.auth.workload.detect import DETECTORS, detect, switched_off
from crane_core.auth.workload.model import ROOT, Surroundings
from crane_core.errors import LoginNeeded
from crane_core.http import new_client, trust_context

if TYPE_CHECKING:
    from crane_core.auth.endpoint import Answer
    from crane_core.auth.grants.model import GrantRequest
    from crane_core.secret import Secret

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name


class TokenExchange:
    """RFC 8693: the identity token is the subject token."""

    name: ClassVar[str] = "token-exchange"
    interactive: ClassVar[bool] = False

    async def run(self, request: GrantRequest) -> Answer:
        """Find the identity and exchange it."""
        identity = await workload_token(request)
        form = {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": identity.reveal(),
            "subject_token_type": JWT_TYPE,
            "requested_token_type": ACCESS_TOKEN_TYPE,
            **request.extra_parameters(),
        }
        return await _trade(request, form)


class JWTBearer:
    """RFC 7523: the identity token is the grant."""

    name: ClassVar[str] = "jwt-bearer"
    interactive: ClassVar[bool] = False

    async def run(self, request: GrantRequest) -> Answer:
        """Find the identity and present it."""
        identity = await workload_token(request)
        form = {
            "grant_type": JWT_BEARER,
            "assertion": identity.reveal(),
            **request.extra_parameters(),
        }
        return await _trade(request, form)


async def workload_token(request: GrantRequest) -> Secret:
    """Return the identity token that the surroundings give, for the provider as audience.

    Raises `LoginNeeded` if there is none here, `WorkloadBroken` if there should be one.
    """
    index, audience = request.index, _audience(request)
    here = Surroundings(
        request.environ,
        request.client,
        lambda: new_client(proxies=False, verify=trust_context(index.tls)),
        run_command,
        ROOT,
    )
    found = await detect(here, audience)
    if found is None:
        asked = ", ".join(d.name for d in DETECTORS if d.name not in switched_off(request.environ))
        raise LoginNeeded(
            f"no identity for {index.name} in these surroundings (asked: {asked or 'none'})",
            hint=f"set CRANE_ID_TOKEN_FILE, or run: crane login {index.name}",
        )
    return found.token


def _audience(request: GrantRequest) -> str:
    provider = request.provider
    return request.index.workload_audience or provider.issuer or provider.token_endpoint


async def _trade(request: GrantRequest, form: dict[str, str]) -> Answer:
    try:
        return await request.redeem(form)
    except OAuthError as error:
        error.hint = f"does the provider take this job's identity for {_audience(request)}?"
        raise
