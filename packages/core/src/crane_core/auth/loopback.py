"""The loopback redirect of a native app (RFC 8252 §7.3): one listener for one login."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from crane_core.errors import NoLoopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LONGEST_REQUEST = 16 * 1024
REQUEST_SECONDS = 10.0
OUTCOME_SECONDS = 60.0
HOSTS = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Redirect:
    """The parameters with which the browser came back, each at most once."""

    parameters: dict[str, str]


class LoopbackListener:
    """Waits for the one redirect that carries our `state`.

    Any local program or web page can send requests here. So a request with another state is
    answered with 400 and forgotten; the login goes on waiting for its own. The browser gets its
    page once the login has succeeded or failed, so that the tab tells the truth.
    """

    def __init__(self, path: str, state: str) -> None:
        self._path = path
        self._state = state
        self._redirect: asyncio.Future[Redirect] = asyncio.get_running_loop().create_future()
        self._outcome: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._connections: set[asyncio.Task[None]] = set()
        self._tabs: set[asyncio.Task[None]] = set()  # those of them that wait for the outcome

    async def redirect(self) -> Redirect:
        """Return the redirect's parameters, once it has come."""
        return await asyncio.shield(self._redirect)

    def tell(self, problem: str | None) -> None:
        """Say to the waiting browser how the login ended: None for well."""
        if not self._outcome.done():
            self._outcome.set_result(problem)

    async def close(self) -> None:
        """Let the browser have its page, and end what else is open: browsers connect in advance."""
        self.tell("Nobody waits for this login any more.")
        if self._tabs:
            await asyncio.wait(self._tabs, timeout=2.0)
        for connection in self._connections:
            connection.cancel()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection; one request each, so that nothing is left open (RFC 8252 §8.3)."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            async with asyncio.timeout(REQUEST_SECONDS + OUTCOME_SECONDS):
                status, page = await self._answer(reader)
                writer.write(_response(status, page))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever it was has left, or is no browser
        finally:
            writer.close()
            self._connections.discard(task)
            self._tabs.discard(task)

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[str, str]:
        async with asyncio.timeout(REQUEST_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        parameters = self._parameters(head)
        if parameters is None:
            return "404 Not Found", _page("Nothing here", "This address is for a login only.")
        # Before anything else is looked at: a stranger's request must not end the login.
        if not hmac.compare_digest(parameters.get("state", "").encode(), self._state.encode()):
            return "400 Bad Request", _page("Not this login", "The request has another state.")
        task = asyncio.current_task()
        assert task is not None
        self._tabs.add(task)
        if not self._redirect.done():
            self._redirect.set_result(Redirect(parameters))
        problem = await asyncio.wait_for(asyncio.shield(self._outcome), OUTCOME_SECONDS)
        if problem is None:
            return "200 OK", _page("You are logged in", "You can close this tab.")
        return "200 OK", _page("The login failed", f"{problem} You can close this tab.")

    def _parameters(self, head: bytes) -> dict[str, str] | None:
        try:
            method, target, _ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
            parts = urlsplit(target)
        except (ValueError, UnicodeDecodeError):
            return None
        if method != "GET" or parts.scheme or parts.path != self._path:
            return None
        values = parse_qs(parts.query, keep_blank_values=True)
        if any(len(value) > 1 for value in values.values()):
            return None  # RFC 6749 §3.1: no parameter may stand there twice
        return {name: value[0] for name, value in values.items()}


@contextlib.asynccontextmanager
async def listening(
    path: str, state: str, host: str | None = None, port: int = 0
) -> AsyncIterator[tuple[LoopbackListener, int, str]]:
    """Listen, and yield the listener, the port and the host of the redirect URI.

    `host` and `port` are what the provider insists on. Without them it is a free port of
    `127.0.0.1`, or of `[::1]` where that is all there is. Raises `NoLoopback`.
    """
    listener = LoopbackListener(path, state)
    server, shown = await _start(listener, host, port)
    try:
        yield listener, server.sockets[0].getsockname()[1], shown
    finally:
        server.close()
        await listener.close()
        await server.wait_closed()


async def _start(
    listener: LoopbackListener, host: str | None, port: int
) -> tuple[asyncio.Server, str]:
    reason = ""
    for address in (host,) if host == "::1" else HOSTS:
        try:
            server = await asyncio.start_server(
                listener.handle, address, port, limit=LONGEST_REQUEST
            )
        except OSError as error:
            reason = str(error)
        else:
            shown = f"[{address}]" if ":" in address else address
            return server, host if host == "localhost" else shown
    raise NoLoopback(
        f"cannot listen on this machine for the login ({reason})",
        hint="run: crane login --grant device",
    )


def _page(title: str, text: str) -> str:
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>crane: {escape(title)}</title></head>"
        '<body style="font: 18px sans-serif; margin: 3em auto; max-width: 30em">'
        f"<h1>{escape(title)}</h1><p>{escape(text)}</p></body></html>"
    )


def _response(status: str, page: str) -> bytes:
    body = page.encode()
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\nCache-Control: no-store\r\n"
        "Referrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n"
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n\r\n"
    ).encode() + body
