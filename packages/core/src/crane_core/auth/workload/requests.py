"""Requests to the services that give identity tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crane_core.errors import CraneError, WorkloadBroken
from crane_core.http import StreamError, json_object, network_reason, read_limited
from crane_core.secret import Secret
from crane_core.urls import require_secure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.http import Client


async def request_token(
    client: Client, url: str, headers: Mapping[str, str], key: str, where: str, method: str = "GET"
) -> Secret:
    """Return the token under `key` of a JSON answer; the whole body if `key` is empty.

    Raises `WorkloadBroken`. The answer itself is never shown: it may hold a token.
    """
    try:
        async with client.stream(method, url, headers=dict(headers)) as response:
            status, body = response.status_code, await read_limited(response)
    except StreamError as error:
        raise WorkloadBroken(f"{where} did not answer: {network_reason(error, url)}") from error
    if status != 200:
        raise WorkloadBroken(f"{where} refused an identity token (HTTP {status})")
    value = (json_object(body) or {}).get(key) if key else (body or b"").decode("ascii", "replace")
    if not isinstance(value, str) or value.count(".") != 2 or not value.isprintable():
        raise WorkloadBroken(f"{where} answered without an identity token")
    return Secret(value.strip())


def require_https(url: str, where: str) -> str:
    """Return a URL that a job's credentials may go to. Raises `WorkloadBroken`."""
    try:
        return require_secure(url, what=f"the token service of {where}")
    except CraneError as error:
        raise WorkloadBroken(error.message) from error
