"""The forward route's listener: CONNECT, requests for plain http, and the agent's own address.

One port takes all three (RFC 9112 §3.2): CONNECT HOST:PORT, GET http://HOST/PATH, and GET /-/PATH.
The first two are for children that know their view's secret.
"""

from __future__ import annotations

import asyncio
import copy
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from crane_core.errors import CraneError
from crane_core.gateway.answers import Request
from crane_core.gateway.connect_head import ConnectHead
from crane_core.gateway.connection import ABSOLUTE_FORM, EXTENSION, Connection
from crane_core.gateway.events import Event
from crane_core.gateway.finished import FinishedAnswers
from crane_core.gateway.guard import Guard, password_in, single_headers
from crane_core.gateway.opened import OpenedProtocol, Standing, TimedProtocol, Waiting, tls_reason
from crane_core.gateway.own_pages import PREFIX
from crane_core.gateway.request_ids import begin, current, naming, new_id, with_id
from crane_core.gateway.responses import header, send_bytes, to_ascii
from crane_core.gateway.targets import (
    TargetRefused,
    TargetUnreachable,
    read_authority,
    read_target,
)
from crane_core.gateway.tunnel import End, connect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from uvicorn import Config
    from uvicorn.server import ServerState

    from crane_core.gateway.activity import Activity
    from crane_core.gateway.events import Observer
    from crane_core.gateway.forward import OpenedOrigin
    from crane_core.gateway.passthrough import Receive
    from crane_core.gateway.registry import Registry, View
    from crane_core.gateway.responses import Send
    from crane_core.urls import Origin

    Control = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

HEAD_SECONDS = 10.0
HANDSHAKE_SECONDS = 10.0
# A tool may open a connection and ask only later, when its pool has use for it.
FIRST_REQUEST_SECONDS = 75.0
CONNECT = b"CONNECT "
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
CHALLENGE = "Basic realm=crane"
LOGIN_MISSING = "the login of this proxy is missing, wrong or ended; it is in HTTPS_PROXY"
FOREIGN = "this crane process belongs to another user"


@dataclass(frozen=True, slots=True)
class Front:
    """What the listener's connections share, and the ASGI application of those without a tunnel."""

    registry: Registry
    control: Control
    guard: Guard
    observer: Observer
    activity: Activity

    async def _turn_away(self, request: Request, status: int, reason: str) -> None:
        self.unwelcome(reason, current())
        await request.problem(status, f"crane: {reason}", closing=True)

    def unwelcome(self, reason: str, request_id: str) -> None:
        """Tell of a request by somebody who may not be a child of ours.

        Only why, as a log leaves out what it has just said: nobody else's words shall fill it.
        """
        self.observer(Event("request", "", problem=reason, request=request_id))

    def may_use(self, uid: int | None) -> bool:
        """Whether a user's processes may connect."""
        allowed = self.guard.allowed_uids
        return allowed is None or uid is None or uid in allowed

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request that is no CONNECT (ASGI 3)."""
        send = naming(send)
        self.activity.touch()
        connection = scope["extensions"][EXTENSION]
        request = Request(scope, send, connection, None, FinishedAnswers(), self.observer)
        target: bytes | None = scope["extensions"].get(ABSOLUTE_FORM)
        if target is not None:
            await self._plain_http(request, receive, target)
        elif refusal := self.guard.check(scope, connection.peer_uid):
            await self._turn_away(request, refusal.status, refusal.reason)
        elif request.path.startswith(PREFIX):
            await self.control(scope, receive, send)
        else:
            reason = "this is a proxy; a request for a page of its own begins with /-/"
            await self._turn_away(request, 404, reason)

    async def _plain_http(self, request: Request, receive: Receive, target: bytes) -> None:
        """Answer a request for another host's URL."""
        scope = request.scope
        if single_headers(scope) is None:
            await self._turn_away(request, 400, "a header stands there twice")
            return
        if not self.may_use(request.connection.peer_uid()):
            await self._turn_away(request, 403, FOREIGN)
            return
        view = self.registry.of_secret(password_in(header(scope, b"proxy-authorization")))
        if view is None:
            self.unwelcome(LOGIN_MISSING, current())
            await _challenge(request)
            return
        try:
            origin = read_target(target)
            scope["raw_path"] = scope["raw_path"] or b"/"
            scope["path"] = scope["path"] or "/"
            opened = view.origins.get(origin)
            if opened is not None:
                await opened.answer(request, receive)
            else:
                await view.plain_http.send(request, receive, origin)
        except TargetRefused as error:
            self.observer(Event("tunnel", target.decode("latin-1"), problem=str(error)))
            await request.problem(403, f"crane: {error}", closing=True)


class FrontProtocol(asyncio.Protocol):
    """A connection of which is not yet known what it is for."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._front: Front = cast("Front", config.loaded_app)
        self._buffer = b""
        self._head = ConnectHead()
        self._request_id = ""
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request, but not for long."""
        self._transport = cast("asyncio.Transport", transport)
        self._state.connections.add(self)  # type: ignore[arg-type]
        self._timer = self._loop.call_later(HEAD_SECONDS, self._transport.abort)

    def connection_lost(self, _: Exception | None) -> None:
        """Give up what is under way."""
        self._leave()
        if self._task is not None:
            self._task.cancel()

    def shutdown(self) -> None:
        """End, since the gateway ends."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read the head of a CONNECT; whatever is none goes to the HTTP server."""
        if self._task is not None:
            self._head.rest += data
            return
        if not self._head.size:
            self._buffer += data
            if len(self._buffer) < len(CONNECT) and CONNECT.startswith(self._buffer):
                return
            data, self._buffer = self._buffer, b""
            if not data.startswith(CONNECT):
                self._hand_over(data)
                return
        if problem := self._head.feed(data):
            self._request_id = new_id()
            self._turn_away(400, problem)
        elif self._head.is_whole:
            self._timer.cancel()
            # What follows is the tunnel's; TLS begins with a transport that has read nothing.
            self._transport.pause_reading()
            self._task = self._loop.create_task(self._connect())
            self._task.add_done_callback(self._connected)

    def _hand_over(self, data: bytes) -> None:
        self._leave()
        protocol = TimedProtocol(self._config, self._state, self._app_state, self._loop)
        protocol.patience = HEAD_SECONDS
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(data)

    def _leave(self) -> None:
        self._timer.cancel()
        self._state.connections.discard(self)

    def _connected(self, task: asyncio.Task[None]) -> None:
        """Let no connection hang whose tunnel broke in a way that nobody has thought of."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        what = self._head.target.decode("latin-1")
        problem = error.line if isinstance(error, CraneError) else type(error).__name__
        text = f"the tunnel broke: {problem}"
        self._front.observer(Event("tunnel", what, problem=text, request=self._request_id))
        self._leave()
        self._transport.abort()

    async def _connect(self) -> None:
        front, head = self._front, self._head
        self._request_id = begin()
        front.activity.touch()
        if not front.may_use(Connection(self._transport).peer_uid()):
            self._turn_away(403, FOREIGN)
            return
        view = front.registry.of_secret(password_in(head.fields.get(b"proxy-authorization", b"")))
        if view is None:
            self._turn_away(407, LOGIN_MISSING)
            return
        try:
            origin = read_authority(head.target.decode("ascii"))
            opened = view.origins.get(origin)
            if opened is not None:
                await self._open(view, opened)
            else:
                await self._tunnel(view, origin)
        except UnicodeDecodeError:
            self._tell_and_refuse(400, "the target of CONNECT is not HOST:PORT")
        except (TargetRefused, TargetUnreachable) as error:
            status = 403 if isinstance(error, TargetRefused) else 504
            self._tell_and_refuse(status, str(error))

    async def _open(self, view: View, opened: OpenedOrigin) -> None:
        """Answer in the host's place, over TLS with the view's own certificate."""
        if self._head.rest:
            self._tell_and_refuse(400, "TLS began before the tunnel stood")
            return
        transport, tunnel = self._transport, Standing(self._front.activity, view, self._transport)
        view.trail.tunnels += 1
        waiting = Waiting()
        self._leave()
        transport.write(ESTABLISHED)
        opened.expect()
        try:
            secure = await self._loop.start_tls(
                transport,
                waiting,
                view.authority.context_for(opened.origin.host),
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
        except (OSError, ssl.SSLError) as error:
            transport.abort()
            tunnel.end()
            opened.tls_failed(tls_reason(error))
            return
        except BaseException:
            transport.abort()
            tunnel.end()
            raise
        assert secure is not None
        config = copy.copy(self._config)
        config.loaded_app = cast("Any", opened)
        protocol = OpenedProtocol(config, self._state, self._app_state, self._loop)
        protocol.patience = FIRST_REQUEST_SECONDS
        protocol.tunnel, protocol.origin = tunnel, opened.origin
        secure.set_protocol(protocol)
        protocol.connection_made(secure)
        waiting.hand_over(protocol)

    async def _tunnel(self, view: View, origin: Origin) -> None:
        """Lead to the host itself, whatever is spoken there."""
        view.trail.others += 1
        far = await connect(origin, view.proxies)
        transport, tunnel = self._transport, Standing(self._front.activity, view, self._transport)
        if transport.is_closing():
            tunnel.end()
            far.transport.abort()
            return
        self._leave()
        near = End(lambda: self._ended(near, tunnel))
        self._state.connections.add(near)  # type: ignore[arg-type]
        transport.set_protocol(near)
        near.connection_made(transport)
        transport.write(ESTABLISHED)
        if early := bytes(self._head.rest):
            far.transport.write(early)
        near.join(far)
        transport.resume_reading()

    def _ended(self, near: End, tunnel: Standing) -> None:
        self._state.connections.discard(near)
        tunnel.end()

    def _turn_away(self, status: int, reason: str) -> None:
        self._front.unwelcome(reason, self._request_id)
        self._refuse(status, reason)

    def _tell_and_refuse(self, status: int, reason: str) -> None:
        what = self._head.target.decode("latin-1")
        self._front.observer(Event("tunnel", what, problem=reason))
        self._refuse(status, reason)

    def _refuse(self, status: int, reason: str) -> None:
        text = f"{to_ascii(f'crane: {reason}')} (request {self._request_id})"
        challenge = f"proxy-authenticate: {CHALLENGE}\r\n" if status == 407 else ""
        self._transport.write(
            f"HTTP/1.1 {status} {text}\r\n{challenge}x-request-id: {self._request_id}\r\n"
            "content-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(text) + 1}\r\nconnection: close\r\n\r\n{text}\n".encode("ascii")
        )
        self._leave()
        self._transport.close()


async def _challenge(request: Request) -> None:
    text = with_id(to_ascii(f"crane: {LOGIN_MISSING}"))
    request.connection.set_reason(text)
    headers = {
        "proxy-authenticate": CHALLENGE,
        "content-type": "text/plain; charset=utf-8",
        "connection": "close",
    }
    await send_bytes(request.send, request.scope, 407, f"{text}\n".encode(), headers)
