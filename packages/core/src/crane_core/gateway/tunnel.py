"""Blind tunnels (RFC 9110 §9.3.6): bytes pass as they are, both ways, and nobody reads them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from typing import TYPE_CHECKING, cast

import h11

from crane_core.gateway.targets import TargetUnreachable, refuse_local_name, resolve
from crane_core.http import USER_AGENT, trust_context
from crane_core.urls import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crane_core.gateway.targets import AddressInfo
    from crane_core.proxies import Proxies, Proxy
    from crane_core.urls import Origin

# Until the tunnel stands. Tools give up after 10 to 15 s, and show no reason then.
CONNECT_SECONDS = 9.0
HAPPY_EYEBALLS = 0.25  # RFC 8305 §8: between attempts at several addresses
LONGEST_ANSWER = 64 << 10


class End(asyncio.Protocol):
    """One end of a tunnel: what arrives here leaves at the other one.

    Who does not read is waited for; whoever ends a direction ends that one only, where the
    transport can (not over TLS).
    """

    other: End | None = None
    transport: asyncio.Transport

    def __init__(self, when_closed: Callable[[], None] = lambda: None) -> None:
        self._when_closed = when_closed
        self.waiting = bytearray()
        self.has_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what can be written to."""
        self.transport = cast("asyncio.Transport", transport)

    def join(self, other: End) -> None:
        """Make a tunnel of two ends."""
        self.other, other.other = other, self
        for end in (self, other):
            if early := bytes(end.waiting):
                end.waiting.clear()
                end.data_received(early)
            if end.has_ended:
                end.eof_received()

    def data_received(self, data: bytes) -> None:
        """Hand over what has come."""
        if self.other is None:
            self.waiting += data
        else:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """End the same direction at the other side; True keeps this connection for the other."""
        self.has_ended = True
        if self.other is None:
            return True
        transport = self.other.transport
        if transport.is_closing():
            return False
        if not transport.can_write_eof() or self.other.has_ended:
            transport.close()
            return False
        transport.write_eof()
        return True

    def pause_writing(self) -> None:
        """Let the other side wait."""
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Let it go on."""
        if self.other is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """End the tunnel."""
        if self.other is not None and not self.other.transport.is_closing():
            if error is None:
                self.other.transport.close()
            else:
                self.other.transport.abort()
        self._when_closed()

    def shutdown(self) -> None:
        """End the tunnel, since the gateway ends."""
        self.transport.abort()


async def connect(origin: Origin, proxies: Proxies) -> End:
    """Return the far end of a tunnel to a host, directly or through the child's own proxy.

    Raises `TargetRefused` or `TargetUnreachable`.
    """
    proxy = proxies.before(origin)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            if proxy is None:
                return await _open(await resolve(origin), origin.netloc, End())
            # The proxy finds the address, in its own network; only the spelling can be judged here.
            refuse_local_name(origin)
            return await _through(proxy, origin)
    except TimeoutError:
        way = f" by way of {origin_of(proxy.url).netloc}" if proxy else ""
        raise TargetUnreachable(f"{origin.netloc} did not answer in time{way}") from None


async def _open(addresses: Sequence[AddressInfo], name: str, end: End) -> End:
    """Connect to one of exactly these addresses: what was looked at is where it leads."""
    import aiohappyeyeballs

    loop = asyncio.get_running_loop()
    try:
        sock = await aiohappyeyeballs.start_connection(
            list(addresses),
            happy_eyeballs_delay=HAPPY_EYEBALLS,
            interleave=1,
        )
    except OSError as error:
        raise _unreachable(name, error) from None
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A tunnel may be silent for long; one whose far end is gone must not stay.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    await loop.create_connection(lambda: end, sock=sock)
    return end


async def _through(proxy: Proxy, origin: Origin) -> End:
    """Ask another proxy for the tunnel."""
    at = origin_of(proxy.url)
    asking = _Asking(proxy, origin)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(at.host, at.port, type=socket.SOCK_STREAM)
        end = await _open(cast("Sequence[AddressInfo]", found), at.netloc, asking.end)
        if proxy.speaks_tls:
            transport = await loop.start_tls(
                end.transport, asking, _context(), server_hostname=at.host
            )
            assert transport is not None
            asking.connection_made(transport)
            end.transport = transport
        else:
            end.transport.set_protocol(asking)
            asking.connection_made(end.transport)
        await asking.answered
    except (OSError, ssl.SSLError) as error:
        raise _unreachable(f"the proxy {at.netloc}", error) from None
    except BaseException:
        if hasattr(asking.end, "transport"):
            asking.end.transport.abort()
        raise
    end.transport.set_protocol(end)
    return end


class _Asking(asyncio.Protocol):
    """The question to another proxy, and its answer (h11: what follows a 2xx is the tunnel's)."""

    def __init__(self, proxy: Proxy, origin: Origin) -> None:
        self.end = End()
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._proxy = proxy
        self._origin = origin
        self._name = origin_of(proxy.url).netloc
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_ANSWER)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = cast("asyncio.Transport", transport)
        host = f"[{self._origin.host}]" if ":" in self._origin.host else self._origin.host
        target = f"{host}:{self._origin.port}"
        headers = [("Host", target), ("User-Agent", USER_AGENT)]
        if self._proxy.login is not None:
            headers.append(("Proxy-Authorization", self._proxy.login.reveal()))
        request = h11.Request(method="CONNECT", target=target, headers=headers)
        data = (self._parser.send(request) or b"") + (self._parser.send(h11.EndOfMessage()) or b"")
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Read the answer."""
        if self.answered.done():
            self.end.data_received(data)
            return
        try:
            self._parser.receive_data(data)
            event = self._parser.next_event()
        except h11.RemoteProtocolError:
            self._fail(f"the proxy {self._name} answered with something that is not HTTP")
            return
        if isinstance(event, h11.Response):
            if 200 <= event.status_code < 300:
                if early := self._parser.trailing_data[0]:
                    self.end.data_received(early)
                self.answered.set_result(None)
            else:
                self._refused(event)

    def _refused(self, answer: h11.Response) -> None:
        reason = bytes(answer.reason).decode("latin-1")
        why = f"HTTP {answer.status_code} {reason}".strip()
        hint = "; check the login in HTTPS_PROXY" if answer.status_code == 407 else ""
        self._fail(f"the proxy {self._name} refused {self._origin.netloc} ({why}{hint})")

    def eof_received(self) -> None:
        """Take the end of the connection for a refusal."""
        self._fail(f"the proxy {self._name} closed the connection")

    def connection_lost(self, _: Exception | None) -> None:
        """Take the end of the connection for a refusal."""
        self._fail(f"the proxy {self._name} closed the connection")

    def _fail(self, text: str) -> None:
        if not self.answered.done():
            self.answered.set_exception(TargetUnreachable(text))
            if self._transport is not None:
                self._transport.abort()


def _context() -> ssl.SSLContext:
    context = trust_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _unreachable(name: str, error: OSError) -> TargetUnreachable:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"its certificate is not trusted: {error.verify_message}"
    elif error.errno is not None and error.errno > 0 and not isinstance(error, ssl.SSLError):
        # asyncio puts the address into the text; the system's own words name the cause.
        reason = os.strerror(error.errno)
    else:
        reason = error.strerror or str(error) or type(error).__name__
    return TargetUnreachable(f"cannot connect to {name} ({reason})")
