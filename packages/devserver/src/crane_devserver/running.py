"""Running an ASGI application in a thread of this process."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import threading
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ssl import SSLContext

    from .asgi import ASGIApp

_STOP_SECONDS = 10
_TICK_SECONDS = 0.1


class _Server(uvicorn.Server):
    """A server that says when it takes requests, and stops as soon as it is told to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        # The original looks for the end ten times a second; hundreds of tests would wait.
        for tick in itertools.count():
            if self._stop.is_set() or await self.on_tick(tick):
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _TICK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        # Over TLS a connection is closed once its client says goodbye, and an idle one may not.
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    def run_until_stopped(self, sockets: list[socket.socket]) -> None:
        try:
            self.run(sockets)
        finally:
            # A failed start must wake the waiting thread as well.
            self.ready.set()

    def stop(self) -> None:
        self.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)


@contextlib.contextmanager
def serve_in_thread(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl: SSLContext | None = None,
    url_host: str | None = None,
) -> Iterator[str]:
    """Serve ``app`` while the ``with`` block runs; yields its base URL, without slash.

    Port 0 takes a free one. ``url_host`` is the name to put into the URL where a
    certificate is for a name and not for ``host``. An application with a method
    ``served_at`` is told the URL before the first request.
    """
    with bound_socket(host, port) as listener:
        url = base_url(listener, url_host or host, tls=ssl is not None)
        tell = getattr(app, "served_at", None)
        if tell is not None:
            tell(url)
        server = _Server(_config(app, ssl))
        thread = threading.Thread(
            target=server.run_until_stopped, args=([listener],), name="crane-devserver", daemon=True
        )
        thread.start()
        server.ready.wait()
        if not server.started:
            raise RuntimeError(f"the server did not start at {url}")
        try:
            yield url
        finally:
            server.stop()
            thread.join(_STOP_SECONDS)


def _config(app: ASGIApp, ssl: SSLContext | None) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        # A response that is cut on purpose is no error to report.
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    config.load()
    config.ssl = ssl
    return config


def bound_socket(host: str, port: int) -> socket.socket:
    """Bind a listening socket, so that the port is known before the server starts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named; without it each response
    # whose head and body are two writes waits 40 ms for the client's delayed ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name != "nt":  # where it would let two processes share the port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def base_url(listener: socket.socket, host: str, *, tls: bool) -> str:
    """Return the URL a bound socket is reached at, without trailing slash."""
    port: int = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"
