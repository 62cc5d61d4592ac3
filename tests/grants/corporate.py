"""A corporate network: a private CA, servers with certificates of it, and a proxy in between."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import trustme
from idp.oidc import Realm, Tls

from crane_devserver.crane import CraneServer
from crane_devserver.repository import Repository
from crane_devserver.running import serve_in_thread
from crane_devserver.wheels import make_wheel


@dataclass(frozen=True)
class Authority:
    """A CA that no system trusts, and its certificate as a file."""

    ca: trustme.CA
    folder: Path

    @property
    def file(self) -> str:
        """The CA's certificate."""
        path = self.folder / "ca.pem"
        self.ca.cert_pem.write_to_path(path)
        return str(path)

    def server(self) -> Tls:
        """Return files of a server's certificate for this machine."""
        issued = self.ca.issue_cert("localhost", "127.0.0.1")
        tls = Tls(self.folder / "server.pem", self.folder / "server.key", Path(self.file))
        tls.key.write_bytes(issued.private_key_pem.bytes())
        tls.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return tls

    def client(self) -> tuple[str, str]:
        """Return files of a client's certificate and its key."""
        issued = self.ca.issue_cert("ada@firm.example")
        certificate, key = self.folder / "client.pem", self.folder / "client.key"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        return str(certificate), str(key)


def new_authority(folder: Path) -> Authority:
    """Make a CA."""
    folder.mkdir(exist_ok=True)
    return Authority(trustme.CA(), folder)


def server_context(tls: Tls, *, client_ca: str | None = None) -> ssl.SSLContext:
    """Return a server's context, which demands a client certificate of `client_ca` if given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


@contextmanager
def secure_index(
    folder: Path, realm: Realm, tls: Tls, *, client_ca: str | None = None
) -> Iterator[tuple[str, CraneServer]]:
    """Serve a protected index with one package over TLS at localhost."""
    make_wheel(folder / "firm-lib", "firm-lib", "1.0")
    with httpx2.Client(trust_env=False, verify=realm.verify) as http:
        keys = http.get(f"{realm.issuer}/jwks").json()
    index = CraneServer([Repository("python", folder)], keys=keys, issuer=realm.issuer)
    context = server_context(tls, client_ca=client_ca)
    with serve_in_thread(index, ssl=context, url_host="localhost") as url:
        yield f"{url}/python", index


@dataclass
class Proxy:
    """A running CONNECT proxy: what it was asked for, and by whom."""

    port: int = 0
    targets: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    refused: int = 0

    def url(self, login: str = "") -> str:
        """The proxy's URL, as HTTPS_PROXY has it."""
        return f"http://{login}127.0.0.1:{self.port}"


@contextmanager
def connect_proxy(login: str | None = None) -> Iterator[Proxy]:
    """Run a proxy that tunnels CONNECT and nothing else; `login` is the user:password it wants."""
    proxy = Proxy()
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    await _tunnel(proxy, login, reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        # A tool may keep its tunnels.
        open_ones = asyncio.all_tasks() - {asyncio.current_task()}
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


async def _tunnel(
    proxy: Proxy, login: str | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    method, target, _ = head.split("\r\n")[0].split(" ")
    proxy.requests.append(f"{method} {target}")
    if login is not None:
        wanted = base64.b64encode(login.encode()).decode()
        if f"proxy-authorization: basic {wanted}".lower() not in head.lower():
            proxy.refused += 1
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            return
    if method != "CONNECT":
        writer.write(b"HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        return
    host, _, port = target.rpartition(":")
    proxy.targets.append(target)
    far_reader, far_writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with contextlib.suppress(OSError):
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
    finally:
        far_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
