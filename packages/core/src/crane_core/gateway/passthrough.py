"""Requests that are handed on as they are, and their answers: streamed both ways, never stored."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crane_core.errors import CraneError, IndexBroken
from crane_core.gateway.answers import final_status
from crane_core.gateway.events import Event
from crane_core.gateway.file_answers import StreamBroken
from crane_core.gateway.responses import header, joined, status_of
from crane_core.gateway.upstream import has_control_characters, unreachable
from crane_core.http import StreamError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from crane_core.config.model import Index
    from crane_core.gateway.answers import Request
    from crane_core.gateway.events import Observer
    from crane_core.gateway.tokens import TokenSource
    from crane_core.http import RelayedResponse, RelayTransport
    from crane_core.urls import Origin

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    FindTransport = Callable[[Origin], Awaitable[RelayTransport]]

# RFC 9110 §7.6.1, and what is meant for this proxy. `Via` is not added: nginx sends uncompressed
# answers to whoever says that a proxy stands between.
_HOP_BY_HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
    b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
})  # fmt: skip
# We ask for the body ourselves (Expect), and the Host is the one of the URL (RFC 9112 §3.2.2).
_OURS = frozenset({b"expect", b"host"})
# What would compete with the token, or lead around it.
_LOGIN = frozenset({b"authorization", b"cookie"})
_BODYLESS = frozenset({204, 304})
MOST_DISCARDED = 64 << 20
DISCARD_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Relay:
    """Hands requests on. `find` gives the transport to an origin."""

    find: FindTransport
    tokens: TokenSource
    observer: Observer

    async def send(
        self,
        request: Request,
        receive: Receive,
        origin: Origin,
        index: Index | None = None,
        *,
        shows_challenge: bool = True,
    ) -> None:
        """Hand a request on to its own origin; with the token of `index`, if that is given.

        Without `shows_challenge` 404 stands for 401, so that the tool asks nobody for a password.
        A redirect is an answer like any other: the tool follows it, and comes back here or not.
        """
        body = Body(request.scope, receive)
        if header(request.scope, b"upgrade").lower() == b"websocket":
            reason = "no websockets behind crane; reach this host without it"
            await request.refuse(501, reason, closing=True)
            return
        try:
            token = await self.tokens.token(index) if index else None
            headers = _request_headers(request.scope, without=_LOGIN if token else frozenset())
            if token:
                headers.append(("authorization", f"Bearer {token.reveal()}"))
            wire = await self.find(origin)
            answer = await wire.relay(
                request.scope["method"],
                target_url(request.scope, origin),
                headers,
                body.pieces() if body.is_there else None,
            )
        except (CraneError, *StreamError) as error:
            if body.is_abandoned:
                request.connection.abort()
            else:
                await self._problem(request, body, origin, error)
            return
        try:
            if index is not None and answer.status_code == 401:
                # It would make the tool ask a person for a password. The next request has
                # another token; this one's body is gone.
                await self.tokens.token(index, rejected=token)
                await self._refuse(request, body, 403, f"{index.name} refused the login; try again")
            elif answer.status_code == 401 and not shows_challenge:
                reason = f"{request.path} is not to be had without a login"
                await self._refuse(request, body, 404, reason)
            else:
                await self._answer(request, answer, body)
        except CraneError as error:
            await self._problem(request, body, origin, error)
        finally:
            await answer.aclose()

    async def _answer(self, request: Request, answer: RelayedResponse, body: Body) -> None:
        if has_control_characters(answer):
            raise IndexBroken(f"{answer.url} answered with control characters in its header fields")
        request.connection.set_reason(answer.reason)
        status = answer.status_code
        headers = _response_headers(answer, is_bodyless=status in _BODYLESS)
        if not body.is_complete:
            # An answer before the end of the request: the rest must not be read as the next one.
            headers.append((b"connection", b"close"))
        await request.send({"type": "http.response.start", "status": status, "headers": headers})
        size = 0
        try:
            if status not in _BODYLESS and request.scope["method"] != "HEAD":
                async for chunk in answer.aiter_raw():
                    size += len(chunk)
                    await request.send(
                        {"type": "http.response.body", "body": chunk, "more_body": True}
                    )
                    if request.connection.is_closing():
                        return
        except StreamError as error:
            raise StreamBroken(unreachable(error, str(answer.url)).line) from error
        await request.send({"type": "http.response.body", "body": b""})
        self.observer(Event("relay", request.path, _host_of(answer), size=size))

    async def _problem(
        self, request: Request, body: Body, origin: Origin, error: Exception
    ) -> None:
        known = error if isinstance(error, CraneError) else unreachable(error, f"{origin}/")
        await self._refuse(request, body, final_status(status_of(known)), known.line)

    async def _refuse(self, request: Request, body: Body, status: int, reason: str) -> None:
        self.observer(Event("relay", request.path, problem=reason))
        await refuse(request, body, status, f"crane: {reason}")


class Body:
    """The body of a tool's request, if it has one (RFC 9112 §6.3)."""

    def __init__(self, scope: dict[str, Any], receive: Receive) -> None:
        self._receive = receive
        self._is_awaited = header(scope, b"expect").lower() == b"100-continue"
        length = header(scope, b"content-length")
        self.is_there = bool(header(scope, b"transfer-encoding")) or length not in {b"", b"0"}
        self.is_complete = not self.is_there
        self.is_abandoned = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield it as it comes; asking for it sends `100 Continue` to a tool that waits for it."""
        self._is_awaited = False
        while not self.is_complete:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.is_abandoned = True
                raise ConnectionResetError("the tool left in the middle of its request")
            self.is_complete = not message.get("more_body", False)
            if message["body"]:
                yield message["body"]

    async def discard(self) -> None:
        """Read what is left, within bounds: a tool that still writes would not see our answer."""
        if self._is_awaited:
            return
        read = 0
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            async with asyncio.timeout(DISCARD_SECONDS):
                async for piece in self.pieces():
                    read += len(piece)
                    if read > MOST_DISCARDED:
                        return


async def refuse(request: Request, body: Body, status: int, text: str) -> None:
    """Answer with an error that a tool can read which writes its whole request first."""
    await body.discard()
    await request.problem(status, text, closing=not body.is_complete)


def target_url(scope: dict[str, Any], origin: Origin) -> str:
    """Return the URL that a request is for, its path as the tool wrote it."""
    query = scope["query_string"]
    path: str = scope["raw_path"].decode("ascii")
    return f"{origin}{path}{'?' + query.decode('ascii') if query else ''}"


def _request_headers(scope: dict[str, Any], without: frozenset[bytes]) -> list[tuple[str, str]]:
    dropped = _HOP_BY_HOP | _OURS | without | _tokens(scope, b"connection")
    return [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in scope["headers"]
        if name not in dropped
    ]


def _response_headers(answer: RelayedResponse, *, is_bodyless: bool) -> list[tuple[bytes, bytes]]:
    named = [(name.lower(), value) for name, value in answer.headers.raw]
    listed = b",".join(value for name, value in named if name == b"connection")
    # Our server says its own date.
    dropped = _HOP_BY_HOP | {b"date"} | {token.strip().lower() for token in listed.split(b",")}
    if is_bodyless:
        dropped |= {b"content-length"}
    return [(name, value) for name, value in named if name not in dropped]


def _tokens(scope: dict[str, Any], name: bytes) -> frozenset[bytes]:
    return frozenset(token.strip().lower() for token in joined(scope, name).split(b",")) - {b""}


def _host_of(answer: RelayedResponse) -> str:
    return str(answer.url).partition("://")[2].partition("/")[0]
