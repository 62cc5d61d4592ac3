"""Requests to an authorization server: form in, JSON out, errors by name."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from crane_core.errors import (
    ClientRejected,
    EndpointMissing,
    ProviderAnswer,
    ProviderUnreachable,
)
from crane_core.http import (
    Client,
    Response,
    StreamError,
    clock_skew,
    json_object,
    network_reason,
    read_limited,
    server_time,
)
from crane_core.text import visible

if TYPE_CHECKING:
    from crane_core.auth.client_authentication import ClientAuthentication

EXCHANGE_SECONDS = 30.0
SECRET_FIELDS = (
    "refresh_token", "device_code", "token", "code", "code_verifier", "client_secret",
    "client_assertion", "subject_token", "assertion",
)  # fmt: skip


class OAuthError(ProviderAnswer):
    """An error response (RFC 6749 §5.2); `error` is its code, such as `invalid_grant`."""

    def __init__(self, error: str, description: str) -> None:
        text = f"the identity provider answered {error}"
        super().__init__(f"{text}: {description}" if description else text)
        self.error = error


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful JSON answer, and the provider's own time if it told (epoch seconds)."""

    payload: dict[str, Any]
    server_time: float | None


async def post_form(
    client: Client, url: str, form: dict[str, str], authentication: ClientAuthentication
) -> Answer:
    """Post to an endpoint (RFC 6749 §4, RFC 8628 §3.1) and return its JSON answer.

    Raises `OAuthError`, `ClientRejected`, or a `ProviderError`.
    """
    response, body = await _post(client, url, form, authentication)
    return _answer(response, body, url, form)


async def post_revocation(
    client: Client, url: str, form: dict[str, str], authentication: ClientAuthentication
) -> None:
    """Post to the revocation endpoint, whose 200 has no content (RFC 7009 §2.2).

    Raises as `post_form` does.
    """
    response, body = await _post(client, url, form, authentication)
    if response.status_code not in {200, 204}:
        _answer(response, body, url, form)


async def get_json(client: Client, url: str) -> Answer:
    """Fetch a metadata document. Raises a `ProviderError`."""
    response, body = await _send(client, "GET", url, {}, None)
    return _answer(response, body, url, {})


async def _post(
    client: Client, url: str, form: dict[str, str], authentication: ClientAuthentication
) -> tuple[Response, bytes | None]:
    fields, headers = dict(form), dict[str, str]()
    authentication.apply(fields, headers, url)
    return await _send(client, "POST", url, headers, fields)


async def _send(
    client: Client, method: str, url: str, headers: dict[str, str], form: dict[str, str] | None
) -> tuple[Response, bytes | None]:
    accepting = {"accept": "application/json", **headers}
    try:
        # The client's own limits are per read: a byte a second would never reach them.
        async with (
            asyncio.timeout(EXCHANGE_SECONDS),
            client.stream(method, url, headers=accepting, data=form) as response,
        ):
            return response, await read_limited(response)
    except TimeoutError:
        raise ProviderUnreachable(
            f"{url} did not answer in {EXCHANGE_SECONDS:.0f} s", hint="try again in a minute"
        ) from None
    except StreamError as error:
        raise clock_skew(error, url) or ProviderUnreachable(
            f"the identity provider is out of reach: {network_reason(error, url)}",
            hint="check the network or VPN, then try again",
        ) from error


def _answer(response: Response, body: bytes | None, url: str, form: dict[str, str]) -> Answer:
    status = response.status_code
    payload = json_object(body)
    if payload is not None and status == 200:
        return Answer(payload, server_time(response))
    # Many servers put {"error": "Not Found"} into any failure: the status is looked at first.
    if status in {404, 405, 410}:
        raise EndpointMissing(
            f"{url} does not exist at the identity provider (HTTP {status})",
            hint="check the URL, then register the index again",
        )
    is_oauth_error = payload is not None and isinstance(payload.get("error"), str)
    if status >= 500 or (status == 429 and not is_oauth_error):
        raise ProviderUnreachable(
            f"the identity provider failed with HTTP {status} at {url}",
            hint="try again in a minute; you stay logged in",
        )
    if payload is not None and is_oauth_error:
        _oauth_error(payload, url, form)
    kind = response.headers.get("content-type", "no content type").split(";")[0]
    raise ProviderAnswer(
        f"{url} answered HTTP {status} with {kind} where JSON is due",
        hint="check the URL: is it a login page or a proxy?",
    )


def _oauth_error(payload: dict[str, Any], url: str, form: dict[str, str]) -> NoReturn:
    error = printable(payload["error"], 60)
    description = printable(payload.get("error_description"), 200)
    if any(form.get(name) and form[name] in description for name in SECRET_FIELDS):
        description = ""  # the provider repeats the token, and this text may be shown anywhere
    if error in {"temporarily_unavailable", "server_error"}:
        raise ProviderUnreachable(
            f"the identity provider answered {error} at {url}",
            hint="try again in a minute; you stay logged in",
        )
    if error in {"invalid_client", "unauthorized_client"}:
        detail = f"{error}: {description}" if description else error
        raise ClientRejected(
            f"the identity provider does not accept this client ({detail})",
            hint="check --client-id, and that the client may use the device flow",
        )
    raise OAuthError(error, description)


def printable(value: object, limit: int) -> str:
    """Return foreign text that is safe to show on a terminal: no control characters, bounded."""
    text = value if isinstance(value, str) else ""
    return visible(text, instead=" ")[:limit].strip()
