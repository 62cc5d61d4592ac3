"""Can the index's host be reached, whom does TLS trust there, and what time is it?"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from crane_cli.findings import Finding, failed, good, warning
from crane_core.errors import ClockSkew, CraneError, IndexUnreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crane_core.auth.context import AuthContext
    from crane_core.config.model import Index
    from crane_core.urls import Origin

# As the identity provider is judged: less than this passes its own tolerance.
LARGEST_SKEW = 60.0
LOGIN_STATUSES = frozenset({301, 302, 303, 307, 401, 403, 404})


async def look(parts: AuthContext, index: Index) -> AsyncIterator[Finding]:
    """Yield the findings; the last one is bad if the host cannot be asked at all."""
    from crane_core.proxies import environment_proxies
    from crane_core.urls import origin_of

    origin = origin_of(index.url)
    try:
        proxy = environment_proxies().before(origin)
    except CraneError as error:
        yield failed("proxy", error)
        return
    if proxy is None:
        finding = await _resolve(origin)
        yield finding
        if finding.state == "bad":
            return
    else:
        yield good(f"proxy: {origin.host} is reached through {proxy.url}")
    async for finding in _ask_openly(parts, index, origin):
        yield finding


async def _resolve(origin: Origin) -> Finding:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    except OSError as error:
        return Finding(
            "bad",
            f"DNS: there is no address for {origin.host} ({error.strerror or error})",
            "check the name in the index URL, the network or VPN",
            IndexUnreachable.exit_code,
        )
    addresses = sorted({str(entry[4][0]) for entry in found})
    more = f" and {len(addresses) - 3} more" if len(addresses) > 3 else ""
    return good(f"DNS: {origin.host} is {', '.join(addresses[:3])}{more}, reached directly")


async def _ask_openly(parts: AuthContext, index: Index, origin: Origin) -> AsyncIterator[Finding]:
    from crane_core.gateway.upstream import unreachable
    from crane_core.http import StreamError, server_time

    trusted = f"{index.ca_file} beside the system" if index.ca_file else "the system"
    if bundle := parts.environ.get("SSL_CERT_FILE"):
        trusted = f"{bundle} (SSL_CERT_FILE)"
    asked_at = parts.clock.now()
    try:
        answer = await parts.client(index).get(f"{index.url}/", headers={"accept": "text/html"})
    except CraneError as error:
        yield failed("TLS" if origin.scheme == "https" else "connection", error)
        return
    except StreamError as error:
        reason = unreachable(error, index.url)
        fix = reason.hint
        if "is not trusted" in reason.message:
            fix = f"run: crane index set {index.name} --ca-file FILE, with your firm's certificates"
        yield Finding("bad", f"connection: {reason.message}", fix or "", reason.exit_code)
        return
    if origin.scheme == "https":
        yield good(f"TLS: its certificate is trusted by {trusted}")
    else:
        yield warning(
            "TLS: the index is asked in plain http: whoever is between sees the token",
            "use https, unless this is a test on your own machine",
        )
    theirs = server_time(answer)
    if theirs is not None:
        yield _clock(theirs - (asked_at + parts.clock.now()) / 2)
    if answer.status_code in LOGIN_STATUSES:
        yield good(f"without a token the index gives nothing (HTTP {answer.status_code})")
    elif answer.status_code == 200:
        yield warning(
            "without a token the index gives its first page: either it is public, or that is a "
            "login page"
        )
    else:
        yield Finding(
            "bad",
            f"the index answers HTTP {answer.status_code}",
            "try again later, or tell its administrators",
            IndexUnreachable.exit_code,
        )


def _clock(ahead: float) -> Finding:
    if abs(ahead) <= LARGEST_SKEW:
        return good("clock: this machine and the index agree")
    side = "behind" if ahead > 0 else "ahead of"
    return Finding(
        "bad",
        f"clock: this machine is {abs(ahead) / 60:.0f} minutes {side} the index",
        "set the one that is wrong: tokens are good for minutes only",
        ClockSkew.exit_code,
    )
