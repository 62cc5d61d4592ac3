"""Which client carries a request to an index."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from typing import TYPE_CHECKING, Protocol

from crane_core.http import StreamError, TimeLimits, Transport
from crane_core.http2 import Http2Client
from crane_core.proxies import environment_proxies
from crane_core.responses import declared_size

if TYPE_CHECKING:
    from crane_core.http import RelayTransport, Response
    from crane_core.http1 import Http1Client
    from crane_core.tls import TLSSettings
    from crane_core.urls import Origin

SMALL = 16 << 10
SMALL_SECONDS = 1.0


class Wires(Protocol):
    """Finds the transport to a host, with what an index trusts and shows."""

    async def for_page(self, origin: Origin, tls: TLSSettings) -> Transport:
        """Return what carries an answer that will be read to its end."""
        ...

    async def for_stream(self, origin: Origin, tls: TLSSettings) -> Transport:
        """Return what carries an answer that may be long, or given up half-way."""
        ...


class Transports:
    """One client for each way to trust and to show oneself, made when first needed.

    Pages over https share one HTTP/2 connection where the server has it. Everything else goes
    over HTTP/1.1: it is four times as fast here, and who gives up a download loses that connection
    only. Behind a proxy that is itself reached over TLS all goes by the first: aiohttp would show
    it the client certificate that is for the index.
    """

    def __init__(self, limits: TimeLimits, *, per_host: int) -> None:
        """Raises `UsageError` for proxy variables that cannot be used."""
        self._limits = limits
        self._per_host = per_host
        self._proxies = environment_proxies()
        self._http1: dict[TLSSettings, Http1Client] = {}
        self._http2: dict[TLSSettings, Http2Client] = {}
        self._imported: asyncio.Future[None] | None = None

    async def for_page(self, origin: Origin, tls: TLSSettings) -> Transport:
        """Return the transport of a page. Raises `ConfigBroken` if a file of `tls` is unusable."""
        if origin.scheme == "https" and (client := self._over_http2(tls)).may_speak_http2(origin):
            return client
        return await self._any(origin, tls)

    async def for_stream(self, origin: Origin, tls: TLSSettings) -> Transport:
        """Return the transport of a file. Raises `ConfigBroken` if a file of `tls` is unusable."""
        return await self._any(origin, tls)

    async def for_relay(self, origin: Origin, tls: TLSSettings) -> RelayTransport:
        """Return the transport of a tool's own request. Raises as `for_stream`."""
        return await self._any(origin, tls)

    async def prepare(self, origin: Origin, tls: TLSSettings, count: int) -> None:
        """Open connections for streams that will be asked for in a moment, as far as none are idle.

        Raises what `for_stream` and its `send` raise.
        """
        wire = await self._any(origin, tls)
        if not isinstance(wire, Http2Client):
            await wire.prepare(origin, count)

    async def _any(self, origin: Origin, tls: TLSSettings) -> Http1Client | Http2Client:
        proxy = self._proxies.before(origin)
        if proxy is not None and proxy.speaks_tls:
            return self._over_http2(tls)
        client = self._http1.get(tls)
        return client if client is not None else await self._over_http1(tls)

    def _over_http2(self, tls: TLSSettings) -> Http2Client:
        if tls not in self._http2:
            self._http2[tls] = Http2Client(self._limits, tls=tls)
        return self._http2[tls]

    async def _over_http1(self, tls: TLSSettings) -> Http1Client:
        if self._imported is not None:
            await asyncio.shield(self._imported)
        from crane_core.http1 import Http1Client

        if tls not in self._http1:
            self._http1[tls] = Http1Client(
                self._limits, per_host=self._per_host, tls=tls, proxies=self._proxies
            )
        return self._http1[tls]

    async def __aenter__(self) -> Transports:
        # Meanwhile in a thread: the first request will need it.
        self._imported = asyncio.ensure_future(asyncio.to_thread(_import_all))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._imported is not None:
            await self._imported
        for fast in self._http1.values():
            await fast.aclose()
        for shared in self._http2.values():
            await shared.aclose()


def _import_all() -> None:
    """Import what the first requests need: httpx2 imports its own machinery that late, too."""
    for name in ("crane_core.http1", "httpcore2", "h2.connection", "truststore"):
        importlib.import_module(name)


async def discard(response: Response) -> None:
    """Close a response that nobody needs; a small one is read, so that its connection is kept."""
    try:
        size = declared_size(response)
        if size is not None and size <= SMALL:
            with contextlib.suppress(TimeoutError, *StreamError):
                async with asyncio.timeout(SMALL_SECONDS):
                    async for _ in response.aiter_raw():
                        pass
    finally:
        await response.aclose()
