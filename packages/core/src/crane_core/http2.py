"""Pages over TLS beyond so many at once: one connection for all, where the server speaks HTTP/2.

httpcore2 (2.16, httpcore issue 1022) does not reset a stream that is given up: h2 counts it as
open for ever, and what still comes for it is never acknowledged. So whoever gives up leaves by a
new lane: requests under way stay on the old connection, which is closed after the last of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import httpx2

from crane_core.http import NO_SETTINGS, Client, TimeLimits, new_client, trust_context
from crane_core.urls import Origin, origin_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from crane_core.http import RelayedResponse
    from crane_core.responses import Headers, Response
    from crane_core.tls import TLSSettings

# For all hosts together, so it must be large: where a server speaks HTTP/1.1 only, each hanging
# request has a connection of its own.
CONNECTIONS = 512


@dataclass(slots=True)
class _Lane:
    client: Client
    under_way: int = 0
    is_left: bool = False


class Http2Client:
    """Sends requests over HTTP/2 or 1.1, as the server chooses in the TLS handshake (ALPN)."""

    def __init__(self, limits: TimeLimits, *, tls: TLSSettings = NO_SETTINGS) -> None:
        self._limits = limits
        self._verify = trust_context(tls)
        self._lane = self._new_lane()
        self._lanes = [self._lane]
        self._speak_http1: set[Origin] = set()

    def may_speak_http2(self, origin: Origin) -> bool:
        """Whether a server has not yet been heard to choose HTTP/1.1."""
        return origin not in self._speak_http1

    async def send(self, method: str, url: str, headers: Mapping[str, str]) -> Response:
        """Return the answer, its body unread. Raises an error of httpx2."""
        return await self._send(self._lane.client.build_request(method, url, headers=headers))

    async def _send(self, request: httpx2.Request) -> _Http2Response:
        lane = self._lane
        lane.under_way += 1
        try:
            answer = await lane.client.send(request, stream=True)
        except BaseException as error:
            # The connection itself takes note of what happens to it, but not of a cancellation
            # or of a state that cannot be.
            given_up = not isinstance(error, Exception)
            confused = isinstance(error, httpx2.LocalProtocolError)
            await self._leave(lane, not (given_up or confused))
            raise
        if answer.http_version != "HTTP/2":
            self._speak_http1.add(origin_of(str(request.url)))
        return _Http2Response(answer, partial(self._leave, lane))

    async def relay(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: AsyncIterator[bytes] | None,
    ) -> RelayedResponse:
        """Send somebody else's request, as `Http1Client.relay` does."""
        # Not by the client, which would add its own headers.
        request = httpx2.Request(method, url, headers=list(headers), content=body)
        return await self._send(request)

    async def _leave(self, lane: _Lane, clean: bool) -> None:
        lane.under_way -= 1
        if not clean:
            lane.is_left = True
            if lane is self._lane:
                self._lane = self._new_lane()
                self._lanes.append(self._lane)
        if lane.is_left and lane.under_way == 0 and lane in self._lanes:
            self._lanes.remove(lane)
            await lane.client.aclose()

    def _new_lane(self) -> _Lane:
        client = new_client(
            limits=self._limits, connections=CONNECTIONS, verify=self._verify, http2=True
        )
        return _Lane(client)

    async def aclose(self) -> None:
        """Close every connection."""
        for lane in self._lanes:
            await lane.client.aclose()


class _Http2Response:
    """httpx2's answer, which notices whether its body was read to the end."""

    def __init__(self, answer: httpx2.Response, leave: Callable[[bool], Awaitable[None]]) -> None:
        self._answer = answer
        self._leave = leave
        self._closed = False
        # One that has a connection of its own is closed with it.
        self._clean = answer.http_version != "HTTP/2"
        self.status_code = answer.status_code
        self.reason = answer.reason_phrase
        self.headers: Headers = answer.headers
        self.url = str(answer.url)

    async def aiter_raw(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes."""
        async for chunk in self._answer.aiter_raw():
            yield chunk
        self._clean = True

    async def aclose(self) -> None:
        """Give up what has not been read."""
        if not self._closed:
            self._closed = True
            try:
                await self._answer.aclose()
            finally:
                await self._leave(self._clean)
