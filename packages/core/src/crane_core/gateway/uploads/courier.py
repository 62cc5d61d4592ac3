"""Requests about an upload to its index, each with the index's token."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.errors import IndexBroken, IndexRefused
from crane_core.gateway.transports import discard
from crane_core.gateway.uploads.progress import Progress
from crane_core.gateway.upstream import has_control_characters, unreachable
from crane_core.http import USER_AGENT, StreamError
from crane_core.urls import origin_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import BinaryIO

    from crane_core.config.model import Index
    from crane_core.gateway.tokens import TokenSource
    from crane_core.http import RelayedResponse, RelayTransport
    from crane_core.secret import Secret
    from crane_core.tls import TLSSettings
    from crane_core.urls import Origin

    FindTransport = Callable[[Origin, TLSSettings], Awaitable[RelayTransport]]
    Bytes = Callable[[], AsyncIterator[bytes]]

MOST_ANSWER = 64 << 10
HIDDEN = "***"  # in place of a token


@dataclass(frozen=True, slots=True)
class Reply:
    """An index's answer, as much of it as is worth reading."""

    status: int
    reason: str
    body: bytes
    content_type: str
    location: str


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a file's URL: its size and digest, and whether it is how a file here begins.

    If it `is_growing`, it was longer at each look.
    """

    size: int
    sha256: str
    is_beginning: bool
    is_growing: bool = False


class Courier:
    """Sends requests to indexes. A token refused is refreshed once, and the request sent again."""

    def __init__(self, find: FindTransport, tokens: TokenSource, stall_seconds: float) -> None:
        """`stall_seconds` is how long an index may take nothing of what it is sent."""
        self._find = find
        self._tokens = tokens
        self._stall_seconds = stall_seconds

    async def post(
        self, index: Index, url: str, headers: dict[str, str], body: Bytes, length: int | None
    ) -> Reply:
        """Return the answer to a POST; each call of `body` yields it from its beginning.

        Without a `length` it is sent in chunks. Raises a `CraneError`, or what `body` raises.
        """
        sent = dict(headers)
        if length is not None:
            sent["content-length"] = str(length)
        answer, token = await self._ask(index, "POST", url, sent, body)
        return await _reply(answer, url, token)

    async def get(self, index: Index, url: str, accept: str) -> Reply:
        """Return the answer to a GET, the beginning of it if it is long. Raises a `CraneError`."""
        answer, token = await self._ask(index, "GET", url, {"accept": accept}, None)
        return await _reply(answer, url, token)

    async def get_openly(self, index: Index, url: str) -> Reply:
        """Return the answer to a GET without a token. Raises a `CraneError`."""
        answer = await self._once(index, "GET", url, {"accept": "*/*"}, None, None)
        return await _reply(answer, url, None)

    async def read_back(self, index: Index, url: str, file: BinaryIO) -> Found | int:
        """Return what is at a file's URL, compared with a file here; else its status.

        Raises a `CraneError`.
        """
        headers = {"accept": "*/*", "accept-encoding": "identity"}
        answer, _ = await self._ask(index, "GET", url, headers, None)
        if answer.status_code != 200:
            await discard(answer)
            return answer.status_code
        size, digest, same = 0, hashlib.sha256(), True
        try:
            async for data in answer.aiter_raw():
                same = same and file.read(len(data)) == data
                digest.update(data)
                size += len(data)
        except StreamError as error:
            raise unreachable(error, url) from error
        finally:
            await answer.aclose()
        return Found(size, digest.hexdigest(), same)

    async def _ask(
        self, index: Index, method: str, url: str, headers: dict[str, str], body: Bytes | None
    ) -> tuple[RelayedResponse, Secret]:
        """Return the answer, and the token it was given for."""
        if not index.covers(url):
            raise IndexRefused(
                f"{url} is neither below {index.url} nor its upload-url",
                hint=f"see: crane index show {index.name}",
            )
        token = await self._tokens.token(index)
        answer = await self._once(index, method, url, headers, body, token)
        if answer.status_code != 401:
            return answer, token
        await discard(answer)
        token = await self._tokens.token(index, rejected=token)
        answer = await self._once(index, method, url, headers, body, token)
        if answer.status_code == 401:
            await discard(answer)
            raise IndexRefused(
                f"{index.name} refused a fresh login", hint="ask its administrators for access"
            )
        return answer, token

    async def _once(
        self,
        index: Index,
        method: str,
        url: str,
        headers: dict[str, str],
        body: Bytes | None,
        token: Secret | None,
    ) -> RelayedResponse:
        sent = {"user-agent": USER_AGENT, "accept-encoding": "identity", **headers}
        if token is not None:
            sent["authorization"] = f"Bearer {token.reveal()}"
        wire = await self._find(origin_of(url), index.tls)
        try:
            async with Progress(url, self._stall_seconds) as progress:
                pieces = progress.over(body()) if body else None
                answer = await wire.relay(method, url, list(sent.items()), pieces)
        except StreamError as error:
            raise unreachable(error, url) from error
        if has_control_characters(answer):
            await answer.aclose()
            raise IndexBroken(f"{url} answered with control characters in its header fields")
        return answer


async def _reply(answer: RelayedResponse, url: str, token: Secret | None) -> Reply:
    try:
        body = b""
        async for data in answer.aiter_raw():
            body += data
            if len(body) >= MOST_ANSWER:
                break
    except StreamError as error:
        raise unreachable(error, url) from error
    finally:
        await answer.aclose()
    # An index that shows what it was sent would have the token told to tools and logs.
    secret = token.reveal() if token is not None else ""

    def clean(text: str) -> str:
        return text.replace(secret, HIDDEN) if secret else text

    if secret:
        body = body.replace(secret.encode(), HIDDEN.encode())
    return Reply(
        answer.status_code,
        clean(answer.reason),
        body[:MOST_ANSWER],
        clean(answer.headers.get("content-type", "")),
        clean(answer.headers.get("location", "")),
    )
