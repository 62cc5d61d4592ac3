"""Requests to the front in the very bytes that a test wants, and tunnels through it."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from forward.rig import Rig
from gateway.harness import LIMIT
from gateway.upstream import Raw

from crane_core.gateway.views import Opened


def basic(secret: str, user: str = "crane") -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


def login(opened: Opened) -> str:
    """Return the header line of a view's login."""
    return f"proxy-authorization: {basic(opened.secret.reveal())}\r\n"


def read_all(connection: socket.socket) -> bytes:
    received = bytearray()
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionError:
        pass
    return bytes(received)


def send(rig: Rig, request: bytes) -> Raw:
    """Send these bytes; return all that comes back until the front closes."""
    with rig.connect() as connection:
        with suppress(ConnectionError):
            connection.sendall(request)
        return Raw(read_all(connection))


def read_head(connection: socket.socket) -> bytes:
    """Read to the end of a head, not a byte more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            break
        head += byte
    return head


@dataclass(eq=False)
class Refused(Exception):
    """The front would not build the tunnel."""

    answer: Raw


@contextmanager
def tunnel(rig: Rig, opened: Opened, target: str, early: bytes = b"") -> Iterator[socket.socket]:
    """Yield a connection through a tunnel. Raises `Refused`."""
    with rig.connect() as connection:
        request = f"CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{login(opened)}\r\n".encode()
        connection.sendall(request + early)
        head = read_head(connection)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise Refused(Raw(head + read_all(connection)))
        yield connection


@contextmanager
def secure(
    rig: Rig,
    opened: Opened,
    target: str,
    *,
    name: str | None = None,
    context: ssl.SSLContext | None = None,
) -> Iterator[ssl.SSLSocket]:
    """Yield a TLS connection through a tunnel, to the host that the target names."""
    host = target.rpartition(":")[0].strip("[]")
    with (
        tunnel(rig, opened, target) as connection,
        (context or rig.context(opened)).wrap_socket(
            connection, server_hostname=name or host
        ) as tls,
    ):
        yield tls


def ask(tls: socket.socket, request: str) -> Raw:
    """Send a request that closes the connection, and return its answer."""
    tls.sendall(request.encode("latin-1"))
    return Raw(read_all(tls))


def get(rig: Rig, opened: Opened, url: str, *headers: str, method: str = "GET") -> Raw:
    """GET an https URL through the front, and close."""
    authority, _, path = url.removeprefix("https://").partition("/")
    target = authority if authority.rpartition(":")[2].isdigit() else f"{authority}:443"
    lines = [f"{method} /{path} HTTP/1.1", f"host: {authority}", "connection: close", *headers]
    with secure(rig, opened, target) as tls:
        return ask(tls, "\r\n".join(lines) + "\r\n\r\n")


__all__ = ["LIMIT", "Raw", "Refused", "ask", "basic", "get", "login", "read_all", "read_head",
           "secure", "send", "tunnel"]  # fmt: skip
