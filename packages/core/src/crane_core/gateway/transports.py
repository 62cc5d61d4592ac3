"""Which client carries a request to an index."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Protocol

from crane_core.http import StreamError, TimeLimits, Transport
from crane_core.http2 import Http2Client
from crane_core.proxies import environment_proxies
from crane_core.responses import declared_size
from crane_core.urls import origin_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from crane_core.http import RelayTransport, Response
    from crane_core.http1 import Http1Client
    from crane_core.responses import Piece
    from crane_core.tls import TLSSettings
    from crane_core.urls import Origin

# More than a resolver has open and crane asks ahead of it; uv opens fifty.
PAGE_CONNECTIONS = 48
_HTTP1 = ("crane_core.http1", "truststore")
_HTTP2 = ("httpcore2", "h2.connection")
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

    All goes over HTTP/1.1, which is four times as fast here as HTTP/2, and where giving up costs
    that connection only. Of pages over https so many at once as `page_connections`; what is more
    shares one HTTP/2 connection, where the server has it. Behind a proxy that is itself reached
    over TLS all goes that way: aiohttp would show it the client certificate that is for the index.
    """

    def __init__(
        self, limits: TimeLimits, *, per_host: int, page_connections: int = PAGE_CONNECTIONS
    ) -> None:
        """Raises `UsageError` for proxy variables that cannot be used."""
        self._limits = limits
        self._per_host = per_host
        self._page_connections = page_connections
        self._page_wires: dict[TLSSettings, _PageWire] = {}
        self._proxies = environment_proxies()
        self._http1: dict[TLSSettings, Http1Client] = {}
        self._http2: dict[TLSSettings, Http2Client] = {}
        self._imported: asyncio.Future[None] | None = None
        self._imported_http2: asyncio.Future[None] | None = None

    async def for_page(self, origin: Origin, tls: TLSSettings) -> Transport:
        """Return the transport of a page. Raises `ConfigBroken` if a file of `tls` is unusable."""
        first = await self._any(origin, tls)
        if origin.scheme != "https" or isinstance(first, Http2Client):
            return first
        if tls not in self._page_wires:
            rest = partial(self._over_http2, tls)
            self._page_wires[tls] = _PageWire(first, rest, self._page_connections)
        return self._page_wires[tls]

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
            return await self._over_http2(tls)
        client = self._http1.get(tls)
        return client if client is not None else await self._over_http1(tls)

    async def _over_http2(self, tls: TLSSettings) -> Http2Client:
        if self._imported_http2 is None:
            # In a thread: httpx2 would import its machinery at the first request.
            self._imported_http2 = asyncio.ensure_future(asyncio.to_thread(_import, *_HTTP2))
        await asyncio.shield(self._imported_http2)
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
        self._imported = asyncio.ensure_future(asyncio.to_thread(_import, *_HTTP1))
        return self

    async def __aexit__(self, *_: object) -> None:
        for imported in (self._imported, self._imported_http2):
            if imported is not None:
                await imported
        for fast in self._http1.values():
            await fast.aclose()
        for shared in self._http2.values():
            await shared.aclose()


class _PageWire:
    """Sends at most so many requests at once to a host over HTTP/1.1, and the others by `rest`."""

    def __init__(
        self, first: Http1Client, rest: Callable[[], Awaitable[Http2Client]], most: int
    ) -> None:
        self._first = first
        self._rest = rest
        self._most = most
        self._under_way: Counter[Origin] = Counter()

    async def send(self, method: str, url: str, headers: Mapping[str, str]) -> Response:
        """Return the answer, its body unread. Raises `StreamError`, or `ConfigBroken`."""
        origin = origin_of(url)
        if self._under_way[origin] >= self._most:
            rest = await self._rest()
            if rest.may_speak_http2(origin):
                return await rest.send(method, url, headers)
        self._under_way[origin] += 1
        try:
            answer = await self._first.send(method, url, headers)
        except BaseException:
            self._leave(origin)
            raise
        return _Counted(answer, partial(self._leave, origin))

    def _leave(self, origin: Origin) -> None:
        self._under_way[origin] -= 1
        if not self._under_way[origin]:
            del self._under_way[origin]


class _Counted:
    """An answer whose end is told to somebody."""

    def __init__(self, answer: Response, leave: Callable[[], None]) -> None:
        self._answer = answer
        self._leave = leave
        self._has_left = False
        self.status_code = answer.status_code
        self.headers = answer.headers
        self.url = answer.url

    def aiter_raw(self) -> AsyncIterator[Piece]:
        return self._answer.aiter_raw()

    async def aclose(self) -> None:
        try:
            await self._answer.aclose()
        finally:
            if not self._has_left:
                self._has_left = True
                self._leave()


def _import(*names: str) -> None:
    for name in names:
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
