"""Servers that speak HTTP in the very bytes that a test wants, and clients for them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import h2.config
import h2.connection
import h2.events
import h2.settings
import trustme

from crane_core.config.model import Index
from crane_core.gateway.server import run as run_fast
from crane_core.gateway.transports import PAGE_CONNECTIONS, Transports
from crane_core.gateway.upstream import Upstream
from crane_core.http import TimeLimits
from crane_core.secret import Secret

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
# Does something with a request, and says whether the connection is kept.
Step = Callable[[Reader, Writer], Awaitable[bool]]
LIMITS = TimeLimits(connect=2.0, read=2.0, write=2.0, pool=2.0)
SECONDS = 30.0
T = TypeVar("T")


def run(test: Coroutine[Any, Any, T]) -> T:
    """Run a test on the loop that the gateway runs on, for a limited time."""

    async def limited() -> T:
        async with asyncio.timeout(SECONDS):
            return await test

    result: T = run_fast(limited())
    return result


def reply(body: bytes = b"", status: int = 200, **headers: str) -> bytes:
    """Return an answer's bytes; header names are written with underscores."""
    fields = {"content_length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([f"HTTP/1.1 {status} X", *lines, "", ""]).encode("latin-1") + body


def say(*parts: bytes, pause: float = 0.0) -> Step:
    """Return a step that sends these bytes and keeps the connection."""

    async def step(reader: Reader, writer: Writer) -> bool:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        return True

    return step


def say_and_close(*parts: bytes, pause: float = 0.0) -> Step:
    """Return a step that sends these bytes and closes."""

    async def step(reader: Reader, writer: Writer) -> bool:
        await say(*parts, pause=pause)(reader, writer)
        return False

    return step


async def hang(reader: Reader, writer: Writer) -> bool:
    """Never answer."""
    await asyncio.Event().wait()
    return False


@dataclass
class Listener:
    """A running server: what it was asked, over how many connections."""

    url: str = ""
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """The lines of the last request's head."""
        return self.requests[-1].decode("latin-1").rstrip("\r\n").split("\r\n")

    @property
    def targets(self) -> list[str]:
        """What each request asked for."""
        return [head.split(b" ")[1].decode("latin-1") for head in self.requests]


@contextlib.asynccontextmanager
async def listening(*steps: Step, tls: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    """Serve the n-th request with the n-th step, further ones with the last."""
    listener = Listener()

    async def handle(reader: Reader, writer: Writer) -> None:
        while True:
            listener.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if not await steps[min(len(listener.requests), len(steps)) - 1](reader, writer):
                return

    async with serving(listener, handle, tls):
        yield listener


@contextlib.asynccontextmanager
async def serving(
    listener: Listener,
    handle: Callable[[Reader, Writer], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[None]:
    """Serve connections with a function until the block ends."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: Reader, writer: Writer) -> None:
        listener.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await handle(reader, writer)
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls, limit=1 << 20)
    listener.port = server.sockets[0].getsockname()[1]
    listener.url = f"{'https://localhost' if tls else 'http://127.0.0.1'}:{listener.port}"
    try:
        yield
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def refusing() -> Iterator[socket.socket]:
    """Hold a port on which nobody listens, until somebody does."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held


def port_of(held: socket.socket) -> int:
    """Return a socket's port."""
    port: int = held.getsockname()[1]
    return port


class Http2Site:
    """Answers each path with itself; `hang`, and over HTTP/2 `part`, `big` or `bye`, in its way."""

    def __init__(self, *, most_streams: int = 100) -> None:
        self.listener = Listener()
        self.streams: list[str] = []
        self.headers: dict[str, str] = {}
        self.protocols: list[str | None] = []
        self._most_streams = most_streams

    @contextlib.asynccontextmanager
    async def serve(self, tls: ssl.SSLContext) -> AsyncIterator[Http2Site]:
        """Serve until the block ends."""
        tls.set_alpn_protocols(["h2", "http/1.1"])
        async with serving(self.listener, self._handle, tls):
            yield self

    @property
    def url(self) -> str:
        """The site's root, without a slash."""
        return self.listener.url

    async def _handle(self, reader: Reader, writer: Writer) -> None:
        chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        self.protocols.append(chosen)
        if chosen != "h2":
            while True:
                path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
                if b"hang" in path:
                    await asyncio.Event().wait()
                writer.write(reply(path))
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.local_settings.update({
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self._most_streams
        })  # fmt: skip
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    assert event.headers is not None
                    self.headers = {k.decode(): v.decode() for k, v in event.headers}
                    path = self.headers[":path"]
                    self.streams.append(path)
                    if not self._answer(connection, event.stream_id, path):
                        writer.write(connection.data_to_send())
                        await writer.drain()
                        return
            writer.write(connection.data_to_send())

    def _answer(self, connection: h2.connection.H2Connection, stream: int, path: str) -> bool:
        if "hang" in path:
            return True
        headers = [(":status", "200"), ("content-type", "text/html")]
        if "odd" in path:
            headers.append(("x-odd", "a\r\nset-cookie: b"))
        connection.send_headers(stream, headers)
        while "big" in path and (window := connection.local_flow_control_window(stream)):
            connection.send_data(stream, bytes(min(window, connection.max_outbound_frame_size)))
        if "big" not in path:
            connection.send_data(stream, path.encode(), end_stream="part" not in path)
        return "bye" not in path


@contextlib.asynccontextmanager
async def proxying(
    *, login: str = "", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Listener]:
    """Run a proxy that wants this Proxy-Authorization, and answers plain requests itself."""
    proxy = Listener()

    async def handle(reader: Reader, writer: Writer) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            proxy.requests.append(head)
            if login and f"proxy-authorization: {login}\r\n" not in head.decode().lower():
                writer.write(reply(b"", 407))
            elif not head.startswith(b"CONNECT "):
                writer.write(reply(b"of the proxy"))
            else:
                await _tunnel(proxy.targets[-1], reader, writer)
                return

    async with serving(proxy, handle, tls):
        yield proxy


async def _tunnel(target: str, reader: Reader, writer: Writer) -> None:
    host, _, port = target.rpartition(":")
    far_reader, far_writer = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
    finally:
        far_writer.close()


async def _copy(reader: Reader, writer: Writer) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@dataclass
class Waits:
    """A clock whose sleeps take no time, and are counted."""

    slept: list[float] = field(default_factory=list)
    before: Callable[[], Awaitable[None]] | None = None

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.before is not None:
            await self.before()


@dataclass
class Tokens:
    """Hands out a new token each time it is asked, and notes what was rejected."""

    asked: list[str | None] = field(default_factory=list)

    async def token(self, index: Index, *, rejected: Secret | None = None) -> Secret:
        self.asked.append(rejected.reveal() if rejected else None)
        return Secret(f"token-{len(self.asked)}")


@contextlib.asynccontextmanager
async def upstream(
    *,
    seconds: float = 10.0,
    limits: TimeLimits = LIMITS,
    tokens: Tokens | None = None,
    clock: Waits | None = None,
    per_host: int = 64,
    page_connections: int = PAGE_CONNECTIONS,
) -> AsyncIterator[Upstream]:
    """Yield the gateway's side of a request."""
    async with Transports(limits, per_host=per_host, page_connections=page_connections) as wires:
        yield Upstream(wires, tokens or Tokens(), clock or Waits(), seconds=seconds)


async def fetch(client: Upstream, url: str, index: Index | None = None, **headers: str) -> bytes:
    """Read a file to its end, as the gateway does."""
    async with client.open("GET", url, index=index, headers=headers) as response:
        return b"".join([chunk async for chunk in response.aiter_raw()])


async def page(client: Upstream, url: str, index: Index | None = None) -> bytes:
    """Read a page."""
    return (await client.page(url, 1 << 20, index)).body


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something to come true."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true")


class Firm:
    """A private CA and certificates of it."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.ca_file = str(folder / "firm-ca.pem")
        self._ca.cert_pem.write_to_path(self.ca_file)

    def server(self, *names: str, client_ca: bool = False, **dates: Any) -> ssl.SSLContext:
        """Return a server's context for these names, `localhost` if none is given."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*(names or ("localhost", "127.0.0.1")), **dates).configure_cert(context)
        if client_ca:
            context.verify_mode = ssl.CERT_OPTIONAL
            self._ca.configure_trust(context)
        return context

    def client_file(self) -> str:
        """Return a file with a client's certificate and key."""
        issued = self._ca.issue_cert("ada@firm.example")
        path = self._folder / "client.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(path)
        return str(path)


def index_at(url: str, **settings: Any) -> Index:
    """Return a registered index without a fallback."""
    return Index("firm", f"{url}/firm", issuer="https://sso.example", **settings)
