"""The authorization code grant with PKCE on a loopback redirect (RFC 6749 §4.1, 7636, 8252)."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlencode, urlsplit

from crane_core.auth.endpoint import printable
from crane_core.auth.grants.pkce import challenge_of, new_verifier
from crane_core.auth.loopback import listening
from crane_core.errors import (
    ClientRejected,
    CraneError,
    IssuerRejected,
    LoginDenied,
    LoginExpired,
    ProviderAnswer,
)

if TYPE_CHECKING:
    from crane_core.auth.endpoint import Answer
    from crane_core.auth.grants.model import GrantRequest
    from crane_core.auth.loopback import LoopbackListener, Redirect

# For a browser that cannot come back here.
DEVICE = "crane login --grant device"
LONGEST_WAIT = 600.0  # seconds that a person gets


class AuthorizationCode:
    """A login in the browser on this machine, which comes back to a port of ours."""

    name: ClassVar[str] = "authorization-code"
    interactive: ClassVar[bool] = True

    async def run(self, request: GrantRequest) -> Answer:
        """Open the browser, wait for the redirect, redeem the code."""
        require_s256(request)
        state, verifier = secrets.token_urlsafe(32), new_verifier()
        nonce = secrets.token_urlsafe(32) if "openid" in request.index.scope.split() else None
        wanted = urlsplit(request.index.redirect_uri)
        path, fixed = wanted.path or "/", wanted.port or 0
        async with listening(path, state, wanted.hostname, fixed) as (listener, port, shown):
            redirect_uri = f"http://{shown}:{port}{wanted.path}"
            url = authorization_url(request, redirect_uri, state, verifier, nonce)
            request.prompt.show_authorization(request.index, url)
            redirect = await _redirect(listener)
            try:
                answer = await self._redeem(request, redirect, redirect_uri, verifier, nonce)
            except CraneError as error:
                listener.tell(error.line)
                raise
            listener.tell(None)
            return answer

    async def _redeem(
        self,
        request: GrantRequest,
        redirect: Redirect,
        redirect_uri: str,
        verifier: str,
        nonce: str | None,
    ) -> Answer:
        code = read_redirect(request, redirect)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        if request.index.resource:
            form["resource"] = request.index.resource
        return await request.redeem_login(form, nonce)


def require_s256(request: GrantRequest) -> None:
    """Raise `ProviderAnswer` for a provider that would have us do without PKCE S256.

    RFC 7636 §7.2: a downgrade to `plain` protects nothing. One that names no methods may know
    S256 all the same, or ignores the challenge; RFC 9700 §2.1.1 has us send it.
    """
    methods = request.provider.code_challenge_methods
    if methods and "S256" not in methods:
        raise ProviderAnswer(
            f"{request.provider.issuer} offers PKCE without S256", hint=f"run: {DEVICE}"
        )


def authorization_url(
    request: GrantRequest, redirect_uri: str, state: str, verifier: str, nonce: str | None
) -> str:
    """Return the address to open (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core §3.1.2.1)."""
    endpoint = request.provider.authorization_endpoint
    if endpoint is None:
        raise ClientRejected(
            f"{request.provider.issuer} has no authorization endpoint", hint=f"run: {DEVICE}"
        )
    parameters = {
        "response_type": "code",
        "client_id": request.index.client_id,
        "redirect_uri": redirect_uri,
        "state": state,
        **challenge_of(verifier),
        **({} if nonce is None else {"nonce": nonce}),
        **request.extra_parameters(),
    }
    if request.index.account:
        # OpenID Connect Core §3.1.2.1: a hint only; whoever logs in is said afterwards.
        parameters["login_hint"] = request.index.account
    if "offline_access" in request.index.scope.split():
        # OpenID Connect Core §11: without a consent page the scope is dropped in silence.
        parameters["prompt"] = "consent"
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"


async def _redirect(listener: LoopbackListener) -> Redirect:
    try:
        return await asyncio.wait_for(listener.redirect(), LONGEST_WAIT)
    except TimeoutError:
        raise LoginExpired(
            "nobody completed the login in time", hint=f"run: crane login, or {DEVICE}"
        ) from None


def read_redirect(request: GrantRequest, redirect: Redirect) -> str:
    """Return the code of a redirect whose `state` was ours.

    Raises `IssuerRejected` for another issuer (RFC 9207 §2.4), `LoginDenied`, `ClientRejected` or
    `ProviderAnswer`.
    """
    provider, parameters = request.provider, redirect.parameters
    issuer = parameters.get("iss")
    if issuer is None and provider.sends_issuer:
        raise IssuerRejected(
            "the login came back without the issuer that it promises to name",
            hint="log in again from a fresh browser window, or tell the provider's administrators",
        )
    if issuer is not None and provider.issuer is not None and issuer != provider.issuer:
        raise IssuerRejected(
            f"the login came back from {printable(issuer, 200)}, not from {provider.issuer}",
            hint="somebody mixes two providers up; log in again from a fresh browser window",
        )
    if error := parameters.get("error"):
        raise _failure(printable(error, 60), printable(parameters.get("error_description"), 200))
    if not (code := parameters.get("code")):
        raise ProviderAnswer("the login came back without a code", hint="run: crane login")
    return code


def _failure(error: str, description: str) -> CraneError:
    detail = f"{error}: {description}" if description else error
    if error == "access_denied":
        return LoginDenied(f"the login was denied ({detail})", hint="run: crane login again")
    return ClientRejected(
        f"the identity provider refused the login ({detail})",
        hint=f"check client id, scope and redirect URI at the provider, or run: {DEVICE}",
    )
