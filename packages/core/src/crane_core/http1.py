"""HTTP/1.1, for nearly all that indexes are asked for (aiohttp).

aiohttp takes a sixth of a second to import, so this module is imported when first needed. Its
errors come out as httpx2's: whoever sends a request knows one family.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections import Counter
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

import aiohttp
import httpx2
from multidict import CIMultiDict
from yarl import URL

from crane_core.errors import ConfigBroken
from crane_core.http import NO_SETTINGS, USER_AGENT, TimeLimits, trust_context
from crane_core.http1_rest import take_over
from crane_core.proxies import Proxies
from crane_core.responses import RawHeaders, declared_size
from crane_core.urls import origin_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping, Sequence

    from crane_core.http import RelayedResponse, Response
    from crane_core.responses import Piece
    from crane_core.tls import TLSSettings
    from crane_core.urls import Origin

# Bytes. One read of the loop (256 KiB) exceeds it: a slow reader has one such piece waiting, and
# none is joined to another: measured, twice as fast as 128 KiB.
READ_AHEAD = 64 << 10
LONGEST_FIELD = 16 << 10
IDLE_SECONDS = 60.0
WATCH_SECONDS = 1.0
SILENT_SECONDS = 5.0
# What aiohttp would add to a request that is not ours.
OWN_HEADERS = ("accept", "accept-encoding", "content-type", "user-agent")
DIRECT = Proxies()
# The connections that a request was given.
_GIVEN: ContextVar[list[asyncio.Transport]] = ContextVar("given")
ERRORS = (aiohttp.ClientError, OSError, ValueError)


class Http1Client:
    """Sends requests over kept connections, at most `per_host` of them to a host.

    One host that is slow keeps no other waiting: there is no limit for all of them.
    """

    def __init__(
        self,
        limits: TimeLimits,
        *,
        per_host: int,
        tls: TLSSettings = NO_SETTINGS,
        proxies: Proxies = DIRECT,
        resolver: Any = None,
    ) -> None:
        """Without a `resolver` (aiohttp's interface) the system finds addresses."""
        self._tls = tls
        self._proxies = proxies
        self._verifying: asyncio.Future[ssl.SSLContext] | None = None
        self._timeout = aiohttp.ClientTimeout(
            total=None,
            connect=limits.pool,
            sock_connect=limits.connect,
            sock_read=limits.read,
        )
        self._connector = _Connector(
            limit=0, limit_per_host=per_host, keepalive_timeout=IDLE_SECONDS
        )
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # It would read ~/.netrc, and send what is there.
            trust_env=False,
            auto_decompress=False,
            timeout=self._timeout,
            read_bufsize=READ_AHEAD,
            max_line_size=LONGEST_FIELD,
            max_field_size=LONGEST_FIELD,
        )

    async def send(self, method: str, url: str, headers: Mapping[str, str]) -> Response:
        """Return the answer, its body unread. Raises an error of httpx2, or `ConfigBroken`."""
        sent = {"accept": "*/*", "accept-encoding": "identity", "user-agent": USER_AGENT, **headers}
        way = await self._way_to(url, sent)
        begun = time.monotonic()
        try:
            answer = await self._session.request(
                method,
                URL(_ascii(url), encoded=True),
                headers=sent,
                allow_redirects=False,
                **way,
            )
        except ERRORS as error:
            if isinstance(error, TimeoutError):
                self._connector.doubt(origin_of(url))
            raise translated(error) from error
        except asyncio.CancelledError:
            # Whoever waits may have a limit of their own.
            if time.monotonic() - begun >= SILENT_SECONDS:
                self._connector.doubt(origin_of(url))
            raise
        return _Http1Response(answer, url)

    async def prepare(self, origin: Origin, count: int) -> None:
        """Open connections that are idle until they are needed, as far as none are idle already.

        Raises an error of httpx2, or `ConfigBroken`.
        """
        url = f"{origin}/"
        way = await self._way_to(url, {})
        opening = [asyncio.create_task(self._open(url, way)) for _ in range(count)]
        try:
            await asyncio.wait(opening)
        finally:
            for task in opening:
                task.cancel()
            # All at the end: one that is free already would be taken in place of another.
            opened = await asyncio.gather(*opening, return_exceptions=True)
            for connection in opened:
                if isinstance(connection, aiohttp.connector.Connection):
                    connection.release()
        for failed in opened:
            if isinstance(failed, ERRORS):
                raise translated(failed)

    async def _open(self, url: str, way: dict[str, Any]) -> aiohttp.connector.Connection:
        given = dict(way)
        if "proxy" in way:
            # As a session hands it on; the connector writes into the headers.
            given["proxy"] = URL(way["proxy"])
            given["proxy_headers"] = CIMultiDict(way.get("proxy_headers", {}))
        loop = asyncio.get_running_loop()
        request = aiohttp.ClientRequest("GET", URL(url, encoded=True), loop=loop, **given)
        return await self._connector.connect(request, [], self._timeout)

    async def relay(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: AsyncIterator[bytes] | None,
    ) -> RelayedResponse:
        """Send somebody else's request, with exactly these headers and the Host of the URL.

        The body is taken as fast as it can be sent. Raises an error of httpx2, or `ConfigBroken`.
        """
        sent = CIMultiDict(headers)
        way = await self._way_to(url, sent)
        given: list[asyncio.Transport] = []
        reset = _GIVEN.set(given)
        try:
            answer = await self._session.request(
                method,
                URL(_ascii(url), encoded=True),
                headers=sent,
                data=body,
                allow_redirects=False,
                skip_auto_headers=OWN_HEADERS,
                **way,
            )
        except BaseException as error:
            # Closed alone, it would wait for ever until what is unsent has been taken.
            for transport in given:
                transport.abort()
            if isinstance(error, ERRORS):
                raise translated(error) from error
            raise
        finally:
            _GIVEN.reset(reset)
        return _Http1Response(answer, url)

    async def _way_to(self, url: str, sent: MutableMapping[str, str]) -> dict[str, Any]:
        origin = origin_of(url)
        way: dict[str, Any] = {}
        if origin.scheme == "https":
            way["ssl"] = await self._verification()
        proxy = self._proxies.before(origin) if self._proxies.by_scheme else None
        if proxy is None:
            return way
        way["proxy"] = proxy.url
        shown = {} if proxy.login is None else {"proxy-authorization": proxy.login.reveal()}
        if origin.scheme == "https":
            # To the proxy, with CONNECT; what follows is not for it.
            way["proxy_headers"] = {"user-agent": USER_AGENT, **shown}
        else:
            sent.update(shown)
        return way

    async def _verification(self) -> ssl.SSLContext:
        """Return how servers are verified. Raises `ConfigBroken`.

        Made once, when there is a server to verify: to read a system's certificates takes 20 ms.
        """
        if self._verifying is None:
            self._verifying = asyncio.ensure_future(asyncio.to_thread(_context, self._tls))
        try:
            return await asyncio.shield(self._verifying)
        except ConfigBroken:
            self._verifying = None  # its files may be mended
            raise

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()


def _context(tls: TLSSettings) -> ssl.SSLContext:
    context = trust_context(tls)
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Connector(aiohttp.TCPConnector):
    """Never hands out a kept connection on which an answer waits that nobody asked for.

    aiohttp (3.14, issue 13656) gives such an answer to the next request. Nor one of those that
    were open when another to that host fell silent: of a laptop that slept, all have.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._doubts: Counter[Origin] = Counter()
        # How often their hosts had been in doubt when they were opened.
        self._opened: WeakKeyDictionary[object, int] = WeakKeyDictionary()

    def doubt(self, origin: Origin) -> None:
        """Close what is open to a host, as soon as it would be used again."""
        self._doubts[origin] += 1

    async def connect(
        self, req: aiohttp.ClientRequest, *args: Any, **kwargs: Any
    ) -> aiohttp.connector.Connection:
        """Return a free connection, or a new one."""
        origin = origin_of(str(req.url))
        while True:
            connection = await super().connect(req, *args, **kwargs)
            doubts, protocol = self._doubts[origin], connection.protocol
            # A new one may have something to say before it is asked.
            assert protocol is not None
            opened = self._opened.setdefault(protocol, -1)
            if opened < 0 or (opened == doubts and not protocol.should_close):
                self._opened[protocol] = doubts
                if (given := _GIVEN.get(None)) is not None and connection.transport is not None:
                    given.append(connection.transport)
                return connection
            connection.close()


class _Http1Response:
    """aiohttp's answer in the shape of `Response`."""

    __slots__ = ("_answer", "_watch", "headers", "reason", "status_code", "url")

    def __init__(self, answer: aiohttp.ClientResponse, url: str) -> None:
        self._answer = answer
        self._watch: asyncio.TimerHandle | None = None
        self.status_code = answer.status
        self.reason = answer.reason or ""
        self.headers = RawHeaders(answer.raw_headers)
        self.url = url
        if self.headers.get("transfer-encoding", "chunked").strip().lower() != "chunked":
            answer.close()
            raise httpx2.RemoteProtocolError("a transfer encoding that nobody asked for")
        self._watch_the_end()

    async def aiter_raw(self) -> AsyncIterator[Piece]:
        """Yield the body as it comes. Raises an error of httpx2 if it ends too early."""
        # Of chunks nobody knows how long they are together.
        is_chunked = self.headers.get("transfer-encoding") is not None
        size, taken = 0 if is_chunked else declared_size(self) or 0, 0
        try:
            while chunk := await self._answer.content.readany():
                taken += len(chunk)
                if (rest := take_over(self._answer, taken, size)) is None:
                    yield chunk
                    continue
                self._stop_watching()
                yield chunk
                while piece := await rest.read():
                    yield piece
                return
        except (*ERRORS, RuntimeError) as error:
            raise translated(error) from error

    async def aclose(self) -> None:
        """Give the connection back if the body was read, else close it."""
        self._stop_watching()
        self._answer.release()

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()

    def _watch_the_end(self) -> None:
        """End a body whose connection is gone.

        aiohttp (3.14) leaves a reader waiting for ever if what is no chunk comes in mid-body.
        """
        content, connection = self._answer.content, self._answer.connection
        if content.is_eof() or content.exception() is not None:
            return
        if connection is None or connection.closed:
            content.set_exception(aiohttp.ClientPayloadError("the body ended too early"))
            return
        loop = asyncio.get_running_loop()
        self._watch = loop.call_later(WATCH_SECONDS, self._watch_the_end)


def translated(error: Exception) -> Exception:
    """Return httpx2's error for one of aiohttp's or the system's."""
    for kind, translation in _TRANSLATIONS:
        if isinstance(error, kind):
            return translation(error)
    return httpx2.ReadError(str(error))


def _reason(error: OSError) -> str:
    # asyncio puts the address into the text; the system's own words name the cause.
    if error.errno is not None and error.errno > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__


def _ascii(url: str) -> str:
    """Return the URL as it is, but for what no request line may hold."""
    return url if url.isascii() else quote(url, safe="".join(map(chr, range(33, 127))))


# The first that fits: most of aiohttp's errors are the system's as well.
_TRANSLATIONS: tuple[tuple[type[Exception], Callable[[Any], Exception]], ...] = (
    (aiohttp.ConnectionTimeoutError, lambda _: httpx2.ConnectTimeout("")),
    (TimeoutError, lambda _: httpx2.ReadTimeout("")),
    (
        aiohttp.ClientConnectorCertificateError,
        lambda error: httpx2.ConnectError(str(error.certificate_error)),
    ),
    (
        aiohttp.ClientProxyConnectionError,
        lambda error: httpx2.ConnectError(f"its proxy: {_reason(error.os_error)}"),
    ),
    (aiohttp.ClientConnectorError, lambda error: httpx2.ConnectError(_reason(error.os_error))),
    (
        aiohttp.ClientHttpProxyError,
        lambda error: httpx2.ProxyError(f"{error.status} {error.message}"),
    ),
    (
        aiohttp.ClientResponseError,
        lambda _: httpx2.RemoteProtocolError("the answer is not HTTP"),
    ),
    (
        aiohttp.ClientPayloadError,
        lambda _: httpx2.RemoteProtocolError("the body ended too early"),
    ),
    (aiohttp.ServerDisconnectedError, lambda _: httpx2.ReadError("closed without an answer")),
    (OSError, lambda error: httpx2.ReadError(_reason(error))),
    (ValueError, lambda error: httpx2.InvalidURL(str(error))),
)
