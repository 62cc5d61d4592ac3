"""The device authorization grant (RFC 8628)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crane_core.auth.endpoint import Answer, OAuthError, post_form, printable
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
    from crane_core.auth.model import ProviderMetadata
    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.http import Client

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
DEFAULT_INTERVAL = 5.0  # RFC 8628 §3.2
LONGEST_EXPIRY = 1_800.0  # seconds that a login may hold its lock
DEFAULT_EXPIRY = 600.0  # for providers that leave out the required expires_in
SLOW_DOWN = 5.0  # RFC 8628 §3.5
LONGEST_BACKOFF = 60.0


def extra_parameters(index: Index) -> dict[str, str]:
    """Return scope, audience and resource (RFC 8707) as the registration has them."""
    wanted = {"scope": index.scope, "audience": index.audience, "resource": index.resource}
    return {name: value for name, value in wanted.items() if value}


async def request_device_code(
    client: Client, provider: ProviderMetadata, index: Index
) -> DeviceAuthorization:
    """Ask for a device code (RFC 8628 §3.1). Raises a `LoginError` or `ProviderError`."""
    endpoint = provider.device_authorization_endpoint
    if endpoint is None:
        raise ClientRejected(
            f"{provider.issuer or provider.token_endpoint} does not offer the device flow",
            hint="ask its administrators to enable OAuth 2.0 device authorization",
        )
    form = {"client_id": index.client_id, **extra_parameters(index)}
    try:
        payload = (await post_form(client, endpoint, form)).payload
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
    )


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


async def wait_for_tokens(
    client: Client,
    provider: ProviderMetadata,
    index: Index,
    request: DeviceAuthorization,
    clock: Clock,
) -> Answer:
    """Poll the token endpoint until the person has decided (RFC 8628 §3.4, §3.5).

    Raises `LoginDenied`, `LoginExpired`, or a `ProviderError`.
    """
    form = {
        "grant_type": GRANT_TYPE,
        "device_code": request.device_code.reveal(),
        "client_id": index.client_id,
    }
    deadline = clock.now() + request.expires_in
    interval = backoff = request.interval
    while True:
        await clock.sleep(min(backoff, max(0.0, deadline - clock.now())))
        if clock.now() >= deadline:
            raise _expired()
        try:
            return await post_form(client, provider.token_endpoint, form)
        except OAuthError as error:
            interval = backoff = _next_interval(error, interval)
        except ProviderUnreachable:
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


def _expired() -> LoginExpired:
    return LoginExpired("nobody completed the login in time", hint="run: crane login")
