"""An index made of functions, and requests in the very bytes that a test wants."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance.lint import lint_raw

if TYPE_CHECKING:
    from gateway.harness import Gate

Handler = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
SECONDS = 10.0


@dataclass
class Scripted:
    """Answers each path with a function, anything else with 404, and asks nobody for a token."""

    routes: dict[str, Handler] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = {k.decode().lower(): v.decode() for k, v in scope["headers"]}
        self.requests.append((scope["method"], scope["path"], headers))
        handler = self.routes.get(scope["path"], whole(404, b"not here", "text/plain"))
        await handler(scope, receive, send)


def start(status: int, **headers: str) -> dict[str, Any]:
    """Return the message that opens a response; header names are written with underscores."""
    fields = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": fields}


def whole(status: int, body: bytes, content_type: str = "text/html", **headers: str) -> Handler:
    """Return a handler that sends one answer."""

    async def handler(scope: dict[str, Any], receive: Any, send: Any) -> None:
        length = str(len(body))
        await send(start(status, content_type=content_type, content_length=length, **headers))
        await send({"type": "http.response.body", "body": body})

    return handler


@dataclass
class Tap:
    """A file of two parts: the second one flows once the test has opened the tap."""

    first: bytes
    second: bytes
    sized: bool = False
    opened: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        length = {"content_length": str(len(self.first + self.second))} if self.sized else {}
        await send(start(200, content_type="application/zip", **length))
        await send({"type": "http.response.body", "body": self.first, "more_body": True})
        if await asyncio.to_thread(self.opened.wait, SECONDS):
            await send({"type": "http.response.body", "body": self.second})


@dataclass
class Flood:
    """A file that does not end before its reader has left."""

    left: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        gone = asyncio.create_task(self._wait_for_the_end(receive))
        await send(start(200, content_type="application/zip"))
        for _ in range(4000):
            if gone.done():
                return
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
            await asyncio.sleep(0.002)

    async def _wait_for_the_end(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left.set()


class Crowd:
    """Refuses a token, to so many requests at once, and serves the pages for another one."""

    def __init__(self, size: int) -> None:
        self.refused = ""
        self._missing = size
        self._complete = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if dict(scope["headers"]).get(b"authorization", b"").decode() != self.refused:
            await whole(200, b"<title>Links for lib</title>")(scope, receive, send)
            return
        self._missing -= 1
        if not self._missing:
            self._complete.set()
        await asyncio.wait_for(self._complete.wait(), SECONDS)
        await whole(401, b"")(scope, receive, send)


@dataclass(frozen=True)
class Raw:
    """An answer as its bytes were."""

    data: bytes

    @property
    def status_line(self) -> str:
        return self.data.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def status(self) -> int:
        """The status, 0 if the connection was closed without an answer."""
        return int(self.data.split(b" ", 2)[1]) if self.data else 0

    @property
    def head(self) -> str:
        return self.data.split(b"\r\n\r\n", 1)[0].decode("latin-1")

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]


def send_raw(gate: Gate, request: bytes, *, host: str = "127.0.0.1") -> Raw:
    """Send these bytes, and return all that comes back until the gateway closes."""
    with socket.create_connection((host, gate.port), timeout=SECONDS) as connection:
        received = bytearray()
        try:
            connection.sendall(request)
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionError:
            pass
    return Raw(bytes(received))


def ask(
    gate: Gate, path: str = "/-/health", *headers: str, method: str = "GET", host: str | None = ""
) -> Raw:
    """Send a request whose Host is right unless another is given; None leaves it out."""
    named = f"127.0.0.1:{gate.port}" if host == "" else host
    lines = [f"{method} {path} HTTP/1.1", *headers, "connection: close"]
    if named is not None:
        lines.insert(1, f"host: {named}")
    request = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    answer = send_raw(gate, request)
    assert not (bad := lint_raw(request, answer.data)), f"{answer.head}\n{bad}"
    return answer


def get_path_as_it_is(gate: Gate, path: str) -> tuple[int, str]:
    """GET a path that no client library has tidied up; return the status and the reason."""
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=SECONDS)
    try:
        connection.putrequest("GET", path, skip_accept_encoding=True)
        connection.endheaders()
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.reason
    finally:
        connection.close()
