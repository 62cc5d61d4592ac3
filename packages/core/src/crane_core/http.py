"""The HTTP client everything uses: which library, which trust, which time limits.

httpx2 is named here and nowhere else except in type hints, so that the choice stays one file.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import zlib
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from crane_core import __version__
from crane_core.errors import ClockSkew, ConfigBroken, UsageError
from crane_core.tls import TLSSettings

USER_AGENT = f"crane/{__version__}"
MAX_JSON_BYTES = 1 << 20
NO_SETTINGS = TLSSettings()

Client = httpx2.AsyncClient
Response = httpx2.Response
# All that sending a request and reading its answer can raise.
StreamError = (
    httpx2.TransportError, httpx2.StreamError, httpx2.DecodingError, httpx2.InvalidURL,
)  # fmt: skip


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
) -> Client:
    """Return a client that follows no redirect, keeps no cookie and reads no netrc.

    A redirect is a decision about the token, so the caller makes it. Proxy variables of the
    environment (`HTTPS_PROXY`, `NO_PROXY`) are honoured.
    """
    try:
        return _client(limits, connections, verify or trust_context())
    except (ImportError, ValueError) as error:
        # Of the proxy variables; the text may hold the proxy's password.
        raise UsageError(
            f"a proxy variable cannot be used ({type(error).__name__})",
            hint="HTTPS_PROXY and the like take http:// and https:// proxies",
        ) from None


def _client(limits: TimeLimits, connections: int, verify: ssl.SSLContext) -> Client:
    return httpx2.AsyncClient(
        verify=verify,
        follow_redirects=False,
        # An empty list of domains: a session cookie of one user would outlive their token.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers={"user-agent": USER_AGENT, "accept-encoding": "gzip"},
        timeout=httpx2.Timeout(
            connect=limits.connect, read=limits.read, write=limits.write, pool=limits.pool
        ),
        limits=httpx2.Limits(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=60
        ),
    )


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

    async def __aenter__(self) -> Clients:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients.values():
            await client.aclose()


def trust_context(tls: TLSSettings = NO_SETTINGS) -> ssl.SSLContext:
    """Return the system's trust with these settings.

    `SSL_CERT_FILE` counts on every system, `SSL_CERT_DIR` where OpenSSL is used. Raises
    `ConfigBroken`.
    """
    import truststore

    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
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


def network_reason(error: Exception, url: str) -> str:
    """Say in a few words what went wrong on the way to `url`, and name the host."""
    host = urlsplit(url).netloc.rsplit("@", 1)[-1]
    if isinstance(error, httpx2.ConnectTimeout):
        return f"{host} did not accept a connection in time"
    if isinstance(error, httpx2.TimeoutException):
        return f"{host} did not answer in time"
    detail = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in detail:
        return f"the certificate of {host} is not trusted ({detail.rsplit(': ', 1)[-1]})"
    if isinstance(error, httpx2.ConnectError):
        return f"cannot connect to {host} ({detail})"
    return f"the connection to {host} broke ({detail})"


def clock_skew(error: Exception, url: str) -> ClockSkew | None:
    """Return our error if TLS failed since a certificate is outside its dates, else None."""
    detail = str(error)
    if "certificate is not yet valid" in detail or "certificate has expired" in detail:
        return ClockSkew(network_reason(error, url), hint="compare this machine's date and time")
    return None


class BadEncoding(httpx2.DecodingError):
    """A content encoding that we did not ask for, or that does not decode."""


async def read_limited(response: Response, limit: int = MAX_JSON_BYTES) -> bytes | None:
    """Return a streamed response's decoded body, None if it is longer than `limit` bytes.

    We decode gzip ourselves, a bounded piece at a time: the client's decoder turns one small
    chunk into gigabytes before anybody can count them. Raises `BadEncoding`.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip", ""}:
        raise BadEncoding(f"content encoding {encoding[:40]!r}")
    unzip = zlib.decompressobj(wbits=31) if encoding.endswith("gzip") else None
    body = bytearray()
    async for chunk in response.aiter_raw():
        if unzip is None:
            body += chunk
        else:
            try:
                body += unzip.decompress(chunk, limit + 1 - len(body))
            except zlib.error as error:
                raise BadEncoding(str(error)) from error
        if len(body) > limit:
            return None
    if unzip is not None and body and not unzip.eof:
        raise BadEncoding("the body ends too early")
    return bytes(body)


def json_object(body: bytes | None) -> dict[str, Any] | None:
    """Return the JSON object in `body`, None if it is anything else."""
    try:
        value = json.loads(body or b"")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def server_time(response: Response) -> float | None:
    """Return the server's own time from its Date header, in seconds since the epoch."""
    try:
        return parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None
