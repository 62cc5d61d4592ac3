"""Requests for plain http that a tool sends to its proxy (RFC 9112 §3.2.2), handed on."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from crane_core.gateway.passthrough import Relay
from crane_core.gateway.targets import TargetRefused, TargetUnreachable, refuse_local_name, resolve
from crane_core.http import TimeLimits
from crane_core.urls import Origin, origin_of

if TYPE_CHECKING:
    from crane_core.gateway.answers import Request
    from crane_core.gateway.events import Observer
    from crane_core.gateway.passthrough import Receive
    from crane_core.gateway.tokens import TokenSource
    from crane_core.http import RelayTransport
    from crane_core.http1 import Http1Client
    from crane_core.proxies import Proxies

LIMITS = TimeLimits(connect=9.0, read=120.0, pool=30.0)
PER_HOST = 128


class PlainHttp:
    """Hands requests on to hosts that are not opened, by the child's own proxy where it has one."""

    def __init__(self, proxies: Proxies, tokens: TokenSource, observer: Observer) -> None:
        self._proxies = proxies
        self._client: Http1Client | None = None
        self._relay = Relay(self._find, tokens, observer)

    async def send(self, request: Request, receive: Receive, origin: Origin) -> None:
        """Hand a request on. Raises `TargetRefused` with nothing sent."""
        refuse_local_name(origin)
        if self._proxies.before(origin) is None:
            # For the refusal's sake; what is connected to is looked at below once more.
            try:
                await resolve(origin)
            except TargetUnreachable as error:
                await request.refuse(504, str(error), closing=True)
                return
        await self._relay.send(request, receive, origin)

    async def _find(self, _: Origin) -> RelayTransport:
        if self._client is None:
            from crane_core.http1 import Http1Client

            ways = [way for way in self._proxies.by_scheme.values() if way is not None]
            resolver = _Resolver(frozenset(origin_of(way.url).host for way in ways))
            self._client = Http1Client(
                LIMITS, per_host=PER_HOST, proxies=self._proxies, resolver=resolver
            )
        return self._client

    async def close(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.aclose()


class _Resolver:
    """Finds addresses for the client: on other machines only, but for the child's own proxies."""

    def __init__(self, proxies: frozenset[str]) -> None:
        self._proxies = proxies

    async def resolve(
        self, host: str, port: int = 0, family: int = socket.AF_INET
    ) -> list[dict[str, Any]]:
        """Return the addresses of a host, as aiohttp wants them."""
        if host in self._proxies:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        else:
            try:
                found = list(await resolve(Origin("http", host, port)))  # type: ignore[arg-type]
            except (TargetRefused, TargetUnreachable) as error:
                raise OSError(str(error)) from None
        return [
            {
                "hostname": host,
                "host": str(info[4][0]),
                "port": info[4][1],
                "family": info[0],
                "proto": info[2],
                "flags": socket.AI_NUMERICHOST,
            }
            for info in found
        ]

    async def close(self) -> None:
        """Nothing is kept."""
