"""How an index says who its identity provider is, and what that provider offers."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from crane_core.auth.endpoint import get_json
from crane_core.auth.model import ProviderMetadata
from crane_core.errors import (
    CraneError,
    DiscoveryFailed,
    EndpointMissing,
    IndexUnreachable,
    IssuerRejected,
    ProviderAnswer,
)
from crane_core.http import Client, StreamError, clock_skew, network_reason
from crane_core.urls import join, origin_of, require_secure, within

if TYPE_CHECKING:
    from crane_core.config.model import Index

HEAD_SECONDS = 20.0
OIDC = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"
CRANE = "/.well-known/configured-openid-configuration"
_RESOURCE_METADATA = re.compile(r'resource_metadata\s*=\s*"([^"]+)"', re.IGNORECASE)


async def discover_issuer(client: Client, index_url: str, *, insecure_http: bool = False) -> str:
    """Return the issuer that an index names. No token is sent.

    In this order: the challenge's `resource_metadata` (RFC 9728 §5.1), the Crane server's
    redirect, the index's own origin as an issuer (RFC 8414). Raises `DiscoveryFailed`,
    `IssuerRejected` or `IndexUnreachable`.
    """
    for ask in (_from_challenge, _from_crane, _from_origin):
        if issuer := await ask(client, index_url):
            return require_secure(issuer, what="the issuer", insecure_http=insecure_http)
    raise DiscoveryFailed(
        f"{index_url} does not say who its identity provider is",
        hint="add --issuer URL (ask the index's administrators)",
    )


async def provider_metadata(
    client: Client, issuer: str, *, insecure_http: bool = False
) -> ProviderMetadata:
    """Return an issuer's metadata (RFC 8414 §3, else OpenID Connect Discovery §4).

    Raises `IssuerRejected` if the document names another issuer (RFC 8414 §3.3),
    `DiscoveryFailed` if there is none, or another `ProviderError`.
    """
    for url in _metadata_urls(issuer):
        try:
            document = (await get_json(client, url)).payload
        except EndpointMissing:
            continue
        return _metadata(document, issuer, insecure_http=insecure_http)
    raise DiscoveryFailed(f"{issuer} publishes no metadata", hint="check the issuer URL (--issuer)")


async def index_provider(client: Client, index: Index) -> ProviderMetadata:
    """Return the provider of a registered index: the endpoints given by hand, or discovered."""
    if index.token_endpoint:
        return ProviderMetadata(
            token_endpoint=index.token_endpoint,
            issuer=index.issuer,
            device_authorization_endpoint=index.device_authorization_endpoint,
        )
    assert index.issuer is not None
    return await provider_metadata(client, index.issuer, insecure_http=index.insecure_http)


def _metadata_urls(issuer: str) -> list[str]:
    bare = issuer.rstrip("/")
    path = urlsplit(bare).path
    # OpenID Connect appends, RFC 8414 inserts; most providers have the first.
    return [bare + OIDC, f"{origin_of(bare)}{OAUTH}{path}"]


def _metadata(document: dict[str, Any], issuer: str, *, insecure_http: bool) -> ProviderMetadata:
    claimed = document.get("issuer")
    if not isinstance(claimed, str) or claimed.rstrip("/") != issuer.rstrip("/"):
        raise IssuerRejected(
            f"the metadata of {issuer} names another issuer: {str(claimed)[:200]}",
            hint="use that one with --issuer if you trust it",
        )

    def endpoint(name: str) -> str | None:
        value = document.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise ProviderAnswer(f"{name} of {issuer} is no URL", hint="check the issuer")
        return require_secure(value, what=name, insecure_http=insecure_http)

    token_endpoint = endpoint("token_endpoint")
    if token_endpoint is None:
        raise ProviderAnswer(f"{issuer} names no token_endpoint", hint="check the issuer")
    return ProviderMetadata(
        token_endpoint=token_endpoint,
        issuer=claimed,
        authorization_endpoint=endpoint("authorization_endpoint"),
        device_authorization_endpoint=endpoint("device_authorization_endpoint"),
        revocation_endpoint=endpoint("revocation_endpoint"),
        grant_types=_names(document, "grant_types_supported"),
        code_challenge_methods=_names(document, "code_challenge_methods_supported"),
        token_auth_methods=_names(document, "token_endpoint_auth_methods_supported"),
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _names(document: dict[str, Any], key: str) -> tuple[str, ...] | None:
    value = document.get(key)
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else None


async def _from_challenge(client: Client, index_url: str) -> str | None:
    url = index_url + "/"
    status, headers = await _head_of(client, url, accept="application/json")
    match = _RESOURCE_METADATA.search(headers.get("www-authenticate", ""))
    if status != 401 or match is None:
        return None
    location = match.group(1)
    if origin_of(location) != origin_of(url):
        # RFC 9728 §3.3: whoever can put a header into an answer must not name the provider.
        raise IssuerRejected(
            f"{index_url} points to resource metadata on another host: {location[:200]}",
            hint="add --issuer URL (ask the index's administrators)",
        )
    document = (await get_json(client, location)).payload
    resource, servers = document.get("resource"), document.get("authorization_servers")
    if not isinstance(resource, str) or not within(url, resource):
        raise IssuerRejected(
            f"the resource metadata of {index_url} is about another resource",
            hint="add --issuer URL (ask the index's administrators)",
        )
    if isinstance(servers, list) and servers and isinstance(servers[0], str):
        return servers[0]
    return None


async def _from_crane(client: Client, index_url: str) -> str | None:
    url = f"{origin_of(index_url)}{CRANE}"
    status, headers = await _head_of(client, url, accept="application/json")
    location = join(url, headers.get("location", ""))
    if status not in {301, 302, 303, 307, 308} or not location.endswith(OIDC):
        return None
    return location.removesuffix(OIDC)


async def _from_origin(client: Client, index_url: str) -> str | None:
    issuer = str(origin_of(index_url))
    try:
        metadata = await provider_metadata(client, issuer)
    except CraneError:
        # Most origins are no issuer; whatever stands there instead is none of our business.
        return None
    return metadata.issuer


async def _head_of(client: Client, url: str, *, accept: str) -> tuple[int, dict[str, str]]:
    try:
        async with (
            asyncio.timeout(HEAD_SECONDS),
            client.stream("GET", url, headers={"accept": accept}) as response,
        ):
            return response.status_code, dict(response.headers)
    except TimeoutError:
        raise IndexUnreachable(
            f"{url} did not answer in {HEAD_SECONDS:.0f} s",
            hint="check the URL, the network or VPN",
        ) from None
    except StreamError as error:
        raise clock_skew(error, url) or IndexUnreachable(
            f"the index is out of reach: {network_reason(error, url)}",
            hint="check the URL, the network or VPN",
        ) from error
