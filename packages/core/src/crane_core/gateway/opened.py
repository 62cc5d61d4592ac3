"""Opened tunnels: from the host's name in CONNECT to an HTTP server that stands in for it."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, cast

from crane_core.gateway.connection import GatewayProtocol

if TYPE_CHECKING:
    from crane_core.gateway.activity import Activity
    from crane_core.gateway.forward import OpenedOrigin
    from crane_core.gateway.registry import View
    from crane_core.urls import Origin


class Standing:
    """A tunnel that stands: its view can end it, and it keeps the gateway in use."""

    def __init__(self, activity: Activity, view: View, transport: asyncio.Transport) -> None:
        self._activity = activity
        self._connections = view.connections
        self._abort = transport.abort
        self._is_open = True
        self._activity.begin()
        self._connections.add(self._abort)
        if view.is_closed:
            # It was closed while the tunnel was being built.
            transport.abort()

    def end(self) -> None:
        """Take note of the end."""
        if self._is_open:
            self._is_open = False
            self._connections.discard(self._abort)
            self._activity.end()


class Waiting(asyncio.Protocol):
    """Keeps what comes between the end of the TLS handshake and the protocol that wants it."""

    def __init__(self) -> None:
        self._data = b""
        self._lost: tuple[Exception | None] | None = None

    def data_received(self, data: bytes) -> None:
        """Keep it."""
        self._data += data

    def connection_lost(self, error: Exception | None) -> None:
        """Keep that, too."""
        self._lost = (error,)

    def hand_over(self, protocol: asyncio.Protocol) -> None:
        """Tell the protocol what has come meanwhile."""
        if self._data:
            protocol.data_received(self._data)
        if self._lost is not None:
            protocol.connection_lost(self._lost[0])


class TimedProtocol(GatewayProtocol):
    """The HTTP server of a connection on which a first request must come in time."""

    patience = 0.0
    has_asked = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait, but not for ever."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.patience, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """Wait no more."""
        self.has_asked = True
        self._stop_waiting()
        super().on_headers_complete()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class OpenedProtocol(TimedProtocol):
    """The HTTP server behind the end of an opened tunnel."""

    tunnel: Standing
    origin: Origin

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note of the tunnel's end, and say so if the tool would not have our certificate."""
        super().connection_lost(exc)
        self.tunnel.end()
        if not self.has_asked and isinstance(exc, ssl.SSLError):
            # TLS 1.3: a client says so only after the server's part of the handshake.
            opened = cast("OpenedOrigin", self.config.loaded_app)
            opened.tls_failed(tls_reason(exc))


def tls_reason(error: Exception) -> str:
    """Say in a few words why there is no TLS."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return str(error) or type(error).__name__
