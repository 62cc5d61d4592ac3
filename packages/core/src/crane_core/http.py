"""What all HTTP clients share: trust, time limits, errors; and the one for identity providers.

That one is httpx2. For indexes there are two clients more, `http1.py` and `http2.py`; all three
speak of responses and errors as this module does (docs/decisions/0008-upstream-clients.md).
"""

from __future__ import annotations

import os
import ssl
import sys
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import httpx2

from crane_core import __version__
from crane_core.errors import ClockSkew, ConfigBroken
from crane_core.proxies import Proxies, Proxy, environment_proxies
from crane_core.responses import (
    BadEncoding,
    Response,
    json_object,
    read_limited,
    read_packed,
    server_time,
)
from crane_core.tls import TLSSettings
from crane_core.urls import origin_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from crane_core.urls import Origin

__all__ = [
    "NO_SETTINGS", "USER_AGENT", "BadEncoding", "Client", "Clients", "RelayTransport",
    "RelayedResponse", "Response", "StreamError", "TimeLimits", "Transport", "clock_skew",
    "json_object", "network_reason", "new_client", "read_limited", "read_packed", "server_time",
    "trust_context",
]  # fmt: skip

USER_AGENT = f"crane/{__version__}"
NO_SETTINGS = TLSSettings()
# Where systems keep their CAs that OpenSSL was not built for, as truststore knows them.
CA_FILES = (
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
)

Client = httpx2.AsyncClient
# All that sending a request and reading its answer can raise.
StreamError = (
    httpx2.TransportError, httpx2.StreamError, httpx2.DecodingError, httpx2.InvalidURL,
)  # fmt: skip


class Transport(Protocol):
    """Sends requests without a body; follows no redirect and keeps no cookie."""

    async def send(self, method: str, url: str, headers: Mapping[str, str]) -> Response:
        """Return the answer, its body unread. Raises `StreamError`."""
        ...


class RelayedResponse(Response, Protocol):
    """An answer that is handed on as it is, with its reason phrase."""

    @property
    def reason(self) -> str:
        """The reason phrase."""
        ...


class RelayTransport(Protocol):
    """Sends requests that somebody else wrote, with their bodies."""

    async def relay(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: AsyncIterator[bytes] | None,
    ) -> RelayedResponse:
        """Return the answer, its body unread. Raises `StreamError`."""
        ...


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds per phase of a request."""

    connect: float = 10.0
    read: float = 30.0
    write: float = 30.0
    pool: float = 60.0


def new_client(
    *,
    limits: TimeLimits = TimeLimits(),
    connections: int = 64,
    verify: ssl.SSLContext | None = None,
    proxies: bool = True,
    http2: bool = False,
) -> Client:
    """Return a client that follows no redirect, keeps no cookie and reads no netrc.

    A redirect is a decision about the token, so the caller makes it. Proxy variables of the
    environment (`HTTPS_PROXY`, `NO_PROXY`) are honoured unless `proxies` is False.
    """
    limited = httpx2.Limits(
        max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=60
    )
    ways = _Ways(
        environment_proxies() if proxies else Proxies(), verify or trust_context(), limited, http2
    )
    return httpx2.AsyncClient(
        transport=ways,
        trust_env=False,
        follow_redirects=False,
        # An empty list of domains: a session cookie of one user would outlive their token.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers={"user-agent": USER_AGENT, "accept-encoding": "gzip"},
        timeout=httpx2.Timeout(
            connect=limits.connect, read=limits.read, write=limits.write, pool=limits.pool
        ),
    )


class _Ways(httpx2.AsyncBaseTransport):
    """Sends each request directly or by the proxy before its origin, as the other clients do."""

    def __init__(
        self, proxies: Proxies, verify: ssl.SSLContext, limits: httpx2.Limits, http2: bool
    ) -> None:
        self._proxies = proxies
        self._verify = verify
        self._limits = limits
        self._http2 = http2
        self._transports: dict[Proxy | None, httpx2.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        proxy = self._proxies.before(origin_of(str(request.url)))
        if proxy not in self._transports:
            self._transports[proxy] = self._new(proxy)
        return await self._transports[proxy].handle_async_request(request)

    def _new(self, proxy: Proxy | None) -> httpx2.AsyncHTTPTransport:
        shown = {"proxy-authorization": proxy.login.reveal()} if proxy and proxy.login else None
        return httpx2.AsyncHTTPTransport(
            verify=self._verify,
            trust_env=False,
            http2=self._http2,
            limits=self._limits,
            proxy=httpx2.Proxy(proxy.url, headers=shown) if proxy else None,
        )

    async def aclose(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()


class Clients:
    """One client for each way to trust and to show oneself, made when first needed."""

    def __init__(self, *, limits: TimeLimits = TimeLimits(), connections: int = 64) -> None:
        self._limits = limits
        self._connections = connections
        self._clients: dict[TLSSettings, Client] = {}

    def using(self, tls: TLSSettings = NO_SETTINGS) -> Client:
        """Return the client with these settings. Raises `ConfigBroken` if a file is unusable."""
        if tls not in self._clients:
            self._clients[tls] = new_client(
                limits=self._limits, connections=self._connections, verify=trust_context(tls)
            )
        return self._clients[tls]

    async def for_page(self, origin: Origin, tls: TLSSettings) -> Transport:
        """Return what asks an index, where one question does not pay for the faster clients."""
        return _Sender(self.using(tls))

    for_stream = for_page

    async def __aenter__(self) -> Clients:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients.values():
            await client.aclose()


@dataclass(frozen=True, slots=True)
class _Sender:
    client: Client

    async def send(self, method: str, url: str, headers: Mapping[str, str]) -> Response:
        request = self.client.build_request(method, url, headers=headers)
        return await self.client.send(request, stream=True)


def trust_context(tls: TLSSettings = NO_SETTINGS) -> ssl.SSLContext:
    """Return the system's trust with these settings.

    `SSL_CERT_FILE` counts on every system, `SSL_CERT_DIR` where OpenSSL is used. Raises
    `ConfigBroken`.
    """
    context = _system_trust()
    try:
        if sys.platform in {"win32", "darwin"} and (bundle := os.environ.get("SSL_CERT_FILE")):
            context.load_verify_locations(bundle)
        if tls.ca_file:
            context.load_verify_locations(Path(tls.ca_file).expanduser())
        if tls.client_certificate:
            key = tls.client_certificate_key
            context.load_cert_chain(
                Path(tls.client_certificate).expanduser(), Path(key).expanduser() if key else None
            )
    except (OSError, ssl.SSLError) as error:
        raise ConfigBroken(
            f"a certificate file is unusable: {error}", hint="check ca-file and client-certificate"
        ) from None
    return context


def _system_trust() -> ssl.SSLContext:
    if sys.platform in {"win32", "darwin"}:
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Elsewhere truststore does this too, but for every connection: that is 17 ms each, and more
    # and more of them with OpenSSL before 3.4 (truststore issue 212).
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    paths = ssl.get_default_verify_paths()
    if paths.cafile or (paths.capath and any(Path(paths.capath).glob("????????.[0-9]"))):
        context.set_default_verify_paths()
    elif found := next(filter(os.path.isfile, CA_FILES), None):
        context.load_verify_locations(found)
    return context


def network_reason(error: Exception, url: str) -> str:
    """Say in a few words what went wrong on the way to `url`, and name the host."""
    host = urlsplit(url).netloc.rsplit("@", 1)[-1]
    detail = str(error) or type(error).__name__
    if isinstance(error, httpx2.ConnectTimeout):
        return f"{host} did not accept a connection in time"
    if isinstance(error, httpx2.TimeoutException):
        return f"{host} did not answer in time"
    if "CERTIFICATE_VERIFY_FAILED" in detail:
        return f"the certificate of {host} is not trusted ({detail.rsplit(': ', 1)[-1]})"
    if isinstance(error, httpx2.ProxyError):
        return f"the proxy before {host} refused ({detail})"
    if isinstance(error, httpx2.ConnectError):
        return f"cannot connect to {host} ({detail})"
    return f"the connection to {host} broke ({detail})"


# As OpenSSL, Windows (CERT_E_EXPIRED, both ways) and macOS say it, by way of truststore.
_OUTDATED = (
    "certificate is not yet valid",
    "certificate has expired",
    "certificate is not within its validity period",
    "certificate is expired",
)


def clock_skew(error: Exception, url: str) -> ClockSkew | None:
    """Return our error if TLS failed since a certificate is outside its dates, else None."""
    detail = str(error)
    if any(words in detail for words in _OUTDATED):
        return ClockSkew(network_reason(error, url), hint="compare this machine's date and time")
    return None
