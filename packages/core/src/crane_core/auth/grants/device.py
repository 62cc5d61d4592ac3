"""The device authorization grant (RFC 8628)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from crane_core.auth.endpoint import OAuthError, post_form, printable
from crane_core.auth.grants.pkce import challenge_of, new_verifier
from crane_core.auth.model import DeviceAuthorization
from crane_core.errors import (
    ClientRejected,
    LoginDenied,
    LoginExpired,
    ProviderAnswer,
    ProviderUnreachable,
)
from crane_core.secret import Secret
from crane_core.urls import require_secure

if TYPE_CHECKING:
    from crane_core.auth.endpoint import Answer
    from crane_core.auth.grants.model import GrantRequest
    from crane_core.config.model import Index

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
DEFAULT_INTERVAL = 5.0  # RFC 8628 §3.2
LONGEST_EXPIRY = 1_800.0  # seconds that a login may hold its lock
DEFAULT_EXPIRY = 600.0  # for providers that leave out the required expires_in
SLOW_DOWN = 5.0  # RFC 8628 §3.5
LONGEST_BACKOFF = 60.0


class DeviceCode:
    """A login on whichever device has a browser, by address and code."""

    name: ClassVar[str] = "device"
    interactive: ClassVar[bool] = True

    async def run(self, request: GrantRequest) -> Answer:
        """Get a code, show it, wait for the person."""
        code = await request_device_code(request)
        request.prompt.show_device_code(request.index, code)
        return await wait_for_tokens(request, code)


async def request_device_code(request: GrantRequest) -> DeviceAuthorization:
    """Ask for a device code (RFC 8628 §3.1). Raises a `LoginError` or `ProviderError`."""
    provider, index = request.provider, request.index
    endpoint = provider.device_authorization_endpoint
    if endpoint is None:
        raise ClientRejected(
            f"{provider.issuer or provider.token_endpoint} does not offer the device flow",
            hint="ask its administrators to enable OAuth 2.0 device authorization",
        )
    try:
        payload, verifier = await _asked(request, endpoint)
    except OAuthError as error:
        raise ClientRejected(
            error.message, hint="check client id, scope and audience of the registration"
        ) from error
    texts = [payload.get(k) for k in ("device_code", "user_code", "verification_uri")]
    if not all(isinstance(text, str) and text and text.isprintable() for text in texts):
        raise ProviderAnswer(
            f"{endpoint} answered without a usable device code",
            hint="check that it is the device authorization endpoint",
        )
    device_code, user_code, verification_uri = (str(text) for text in texts)
    complete = payload.get("verification_uri_complete")
    return DeviceAuthorization(
        device_code=Secret(device_code),
        user_code=printable(user_code, 100),
        verification_uri=_shown(verification_uri, index),
        verification_uri_complete=_shown(complete, index) if isinstance(complete, str) else None,
        expires_in=min(_positive(payload.get("expires_in"), DEFAULT_EXPIRY), LONGEST_EXPIRY),
        interval=_positive(payload.get("interval"), DEFAULT_INTERVAL),
        code_verifier=verifier,
    )


async def _asked(request: GrantRequest, endpoint: str) -> tuple[dict[str, Any], Secret | None]:
    """Return the endpoint's answer, and the PKCE verifier that it demanded, if it did."""

    async def ask(more: dict[str, str]) -> dict[str, Any]:
        form = request.extra_parameters() | more
        return (await post_form(request.client, endpoint, form, request.authentication)).payload

    try:
        return await ask({}), None
    except OAuthError as error:
        if "code_challenge" not in error.message:
            raise
    # Keycloak demands PKCE here too where the client is set to it; RFC 8628 has none.
    verifier = new_verifier()
    return await ask(challenge_of(verifier)), Secret(verifier)


def _shown(uri: str, index: Index) -> str:
    # It will be opened in a browser: no other scheme than https may come this way.
    require_secure(uri, what="the verification address", insecure_http=index.insecure_http)
    return printable(uri, 2000)


def _positive(value: object, default: float) -> float:
    try:
        number = float(value) if isinstance(value, (int, float, str)) else default
    except (ValueError, OverflowError):
        return default
    return number if 0 < number < float("inf") else default


async def wait_for_tokens(request: GrantRequest, code: DeviceAuthorization) -> Answer:
    """Poll the token endpoint until the person has decided (RFC 8628 §3.4, §3.5).

    Raises `LoginDenied`, `LoginExpired`, or a `ProviderError`.
    """
    clock = request.clock
    form = {"grant_type": GRANT_TYPE, "device_code": code.device_code.reveal()}
    if code.code_verifier is not None:
        form["code_verifier"] = code.code_verifier.reveal()
    deadline = clock.now() + code.expires_in
    interval = backoff = code.interval
    was_lost = False
    while True:
        await clock.sleep(min(backoff, max(0.0, deadline - clock.now())))
        if clock.now() >= deadline:
            raise _expired()
        try:
            return await request.redeem_login(form)
        except OAuthError as error:
            if was_lost and error.error == "invalid_grant":
                raise _lost(error) from error
            interval = backoff = _next_interval(error, interval)
            was_lost = False  # until now nobody had decided
        except ProviderUnreachable:
            was_lost = True
            # RFC 8628 §3.5: exponential back-off on a connection that timed out.
            backoff = max(interval, min(backoff * 2, LONGEST_BACKOFF))


def _next_interval(error: OAuthError, interval: float) -> float:
    if error.error == "authorization_pending":
        return interval
    if error.error == "slow_down":
        return interval + SLOW_DOWN
    if error.error == "access_denied":
        raise LoginDenied("the login was denied", hint="run: crane login, and approve it")
    if error.error == "expired_token":
        raise _expired()
    raise error


def _lost(error: OAuthError) -> LoginExpired:
    # A code is good for one answer, which may have been the one that did not reach us.
    return LoginExpired(
        f"the login's answer may have been lost on the way, and there is no second one: "
        f"{error.message}",
        hint="run: crane login",
    )


def _expired() -> LoginExpired:
    return LoginExpired("nobody completed the login in time", hint="run: crane login")
