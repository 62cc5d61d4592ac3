"""A small internet: hosts with names and certificates of a private CA, behind one proxy.

Nothing resolves these names. The gateway reaches them by the proxy that its environment names, as
in a firm's network; so URLs have the default port, and any host can be played.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from gateway.harness import LIMIT

from crane_devserver.running import serve_in_thread


@dataclass
class Net:
    """Which host is at which local port, and what was asked of the proxy before them."""

    folder: Path
    ca: trustme.CA = field(default_factory=trustme.CA)
    places: dict[str, int] = field(default_factory=dict)
    port: int = 0
    targets: list[str] = field(default_factory=list)
    refused: int = 0
    login: str | None = None
    tls: ssl.SSLContext | None = None

    @property
    def ca_file(self) -> str:
        """The CA's certificate, as a file."""
        path = self.folder / "net-ca.pem"
        if not path.exists():
            self.ca.cert_pem.write_to_path(path)
        return str(path)

    @property
    def ca_pem(self) -> str:
        return self.ca.cert_pem.bytes().decode()

    def url(self, login: str = "") -> str:
        """The proxy's URL, as HTTPS_PROXY has it."""
        scheme, host = ("https", "localhost") if self.tls else ("http", "127.0.0.1")
        return f"{scheme}://{login}{host}:{self.port}"

    def context(self, *names: str, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """Return a server's TLS context with a certificate for these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names).configure_cert(context)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    @contextmanager
    def host(self, app: object, name: str, port: int = 443) -> Iterator[str]:
        """Serve an application at this host; yields its URL without a slash."""
        shown = f"[{name}]" if ":" in name else name
        url = f"https://{shown}" + ("" if port == 443 else f":{port}")
        with serve_in_thread(app, ssl=self.context(name)) as local:  # type: ignore[arg-type]
            # It was told its local address; what it writes into pages is the path.
            if tell := getattr(app, "served_at", None):
                tell(url)
            self.places[f"{shown}:{port}"] = int(local.rpartition(":")[2])
            yield url


@contextmanager
def small_net(folder: Path, *, login: str | None = None, tls: bool = False) -> Iterator[Net]:
    """Run the proxy; `login` is the user:password it wants, `tls` makes it an https:// one."""
    folder.mkdir(exist_ok=True)
    net = Net(folder, login=login)
    if tls:
        net.tls = net.context("localhost")
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()
    # asyncio's streams hold them weakly once a client has ended its direction.
    handling: set[object] = set()

    async def serve() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            own = asyncio.current_task()
            handling.add(own)
            try:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
                    await _answer(net, reader, writer)
            finally:
                writer.close()
                handling.discard(own)

        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=net.tls, backlog=512)
        net.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(10):  # what was closed says so in the loop's next rounds
            await asyncio.sleep(0)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield net
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _answer(net: Net, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    method, target, _ = head.split("\r\n")[0].split(" ")
    if net.login is not None:
        wanted = base64.b64encode(net.login.encode()).decode()
        if f"proxy-authorization: basic {wanted}".lower() not in head.lower():
            net.refused += 1
            await _say(writer, "407 Proxy Authentication Required")
            return
    net.targets.append(target)
    host, _, number = target.rpartition(":")
    # httpx2 leaves the brackets of an IPv6 address out.
    place = f"[{host}]:{number}" if ":" in host and "[" not in host and "/" not in host else target
    if method != "CONNECT":
        authority = target.partition("://")[2].partition("/")[0]
        place = authority if ":" in authority else f"{authority}:80"
    port = net.places.get(place)
    if port is None:
        await _say(writer, "502 No such host here")
        return
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            far_writer.write(head.encode("latin-1"))
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        await writer.drain()
    finally:
        far_writer.transport.abort()


async def _say(writer: asyncio.StreamWriter, status: str) -> None:
    writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
    writer.close()
    await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()
    except OSError:
        writer.close()


@contextmanager
def listening(handle: Callable[[socket.socket], None], address: str = "127.0.0.1") -> Iterator[int]:
    """Run a server that hands each connection to a function in a thread; yields its port."""
    with socket.create_server((address, 0), backlog=256) as server:

        def serve_one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(LIMIT)
                handle(connection)

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
