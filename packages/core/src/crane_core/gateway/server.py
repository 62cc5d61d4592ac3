"""The listener: a bound socket, uvicorn behind it, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import itertools
import logging
import secrets
import socket
import sys
from typing import TYPE_CHECKING, Any

import uvicorn

from crane_core.errors import PortTaken
from crane_core.gateway.connection import GatewayProtocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

# Objects, and rounds of the younger generations.
COLLECT_AFTER = (50_000, 20, 20)
_SO_EXCLUSIVEADDRUSE = ~4  # winsock2.h: ~SO_REUSEADDR; `socket` names it on Windows only
GRACE = 2  # seconds that streams get to finish; all is over within three


def loopback_address(*, system: str = sys.platform) -> str:
    """Return an address of this machine's own for one gateway.

    netrc knows no ports, so pip sends the gateway's secret to every server on its address. On
    Linux all of 127.0.0.0/8 is this machine's: a random address is shared with nobody.
    """
    if system != "linux":
        return "127.0.0.1"
    return f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"


def bind(host: str, port: int) -> socket.socket:
    """Return a bound socket; port 0 takes a free one. Raises `PortTaken`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named; without it a head and a body
    # written apart wait 40 ms for the tool's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, sharing_option(), 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise _bind_error(error, host, port) from error
    listener.setblocking(False)
    return listener


def sharing_option(*, system: str = sys.platform) -> int:
    """Return the option with which our listeners are bound.

    SO_REUSEADDR spares a restart the wait for old connections. On Windows it lets two processes
    share a port instead, and whoever sets it takes ours, unless ours is bound exclusively
    (learn.microsoft.com, "Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE").
    """
    return _SO_EXCLUSIVEADDRUSE if system == "win32" else socket.SO_REUSEADDR


def _bind_error(error: OSError, host: str, port: int) -> PortTaken:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(f"port {port} is taken", hint="choose another one with --port")
    if error.errno == errno.EACCES:
        # Windows says this also of a port that another process has for itself, or the system.
        other = "another one" if sys.platform == "win32" else "one above 1023"
        return PortTaken(f"port {port} is not allowed", hint=f"choose {other} with --port")
    return PortTaken(f"cannot listen on {host}:{port}: {error.strerror}", hint="check --host")


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the command decides what Ctrl-C means."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.end = asyncio.Event()

    async def main_loop(self) -> None:
        """Do uvicorn's housekeeping every 100 ms, and end at once when told to."""
        for tick in itertools.count():
            if self.end.is_set() or await self.on_tick(tick):
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.end.wait(), 0.1)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


@contextlib.asynccontextmanager
async def serving(
    app: Any, listener: socket.socket, protocol: type[asyncio.Protocol] = GatewayProtocol
) -> AsyncIterator[asyncio.Task[None]]:
    """Serve `app` on the socket until the block ends, then let streams finish for `GRACE` s."""
    # Broken-off bodies are our doing; uvicorn would log each with a traceback.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Nobody stands between us and the tool, so nobody may say that the tool is another one.
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield task
    finally:
        server.end.set()
        await task


def run(main: Any) -> Any:
    """Run a coroutine on the fastest loop there is, in a process that is for this alone."""
    # Pages are made of many small objects, among which the collector would look for rings again
    # and again: a tenth of the processor's time that a resolution takes.
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)
    finally:
        main.close()  # it may not have begun
