"""Asking registered indexes by way of the agent, as the user's tools do."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import httpx2

from crane_core.errors import (
    AgentTrouble,
    CraneError,
    IndexBroken,
    IndexRefused,
    IndexUnreachable,
    NotFound,
)
from crane_core.http import USER_AGENT
from crane_core.index.page import JSON_TYPE, ProjectPage, parse_json

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from crane_core.clients.in_process import Way

OURS = "crane: "
PARALLEL = 8
# The agent has limits of its own for what it waits for; these are for an agent that is gone.
LIMITS = httpx2.Timeout(connect=10.0, read=120.0, write=30.0, pool=None)


@dataclass(frozen=True, slots=True)
class Digests:
    """What a file hashed to, by algorithm, and how long it was."""

    by_algorithm: Mapping[str, str]
    size: int


class Gate:
    """A client of one view, with so many requests at a time; an async context manager."""

    def __init__(self, way: Way, turns: asyncio.Semaphore) -> None:
        trust = ssl.create_default_context(cafile=way.bundle)
        self._turns = turns
        self._client = httpx2.AsyncClient(
            proxy=httpx2.Proxy(way.proxy.reveal()), verify=trust, trust_env=False, timeout=LIMITS,
            follow_redirects=False, headers={"user-agent": USER_AGENT},
            limits=httpx2.Limits(max_connections=PARALLEL),
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def page(self, index_url: str, project: str) -> ProjectPage | None:
        """Return a project's page, None if there is none. Raises a `CraneError`."""
        url = f"{index_url}/{project}/"
        async with self._turns:
            try:
                answer = await self._client.get(url, headers={"accept": JSON_TYPE})
            except httpx2.TransportError as error:
                raise _lost(error) from None
        if answer.status_code == 404:
            return None
        _require_ok(answer)
        return parse_json(answer.content, url)

    async def digests(
        self, url: str, algorithms: set[str], advance: Callable[[int], None]
    ) -> Digests:
        """Fetch a file and return what it hashes to; `advance` is told of each piece's size.

        A file that breaks off is asked for once more. Raises a `CraneError`.
        """
        for attempt in (1, 2):
            try:
                return await self._digests(url, algorithms, advance)
            except (httpx2.RemoteProtocolError, httpx2.ReadError) as error:
                if attempt == 2:
                    raise IndexUnreachable(f"{url} broke off", hint="try again") from error
            except httpx2.TransportError as error:
                raise _lost(error) from None
        raise AssertionError  # pragma: no cover

    async def _digests(
        self, url: str, algorithms: set[str], advance: Callable[[int], None]
    ) -> Digests:
        hashers = {name: hashlib.new(name) for name in algorithms}
        size = 0
        headers = {"accept-encoding": "identity"}
        async with self._turns, self._client.stream("GET", url, headers=headers) as answer:
            _require_ok(answer)
            async for piece in answer.aiter_raw():
                size += len(piece)
                for hasher in hashers.values():
                    hasher.update(piece)
                advance(len(piece))
        return Digests({name: hasher.hexdigest() for name, hasher in hashers.items()}, size)

    async def pass_by(self, url: str) -> None:
        """Ask for something small that it does no harm to lack, so that the agent keeps it."""
        async with self._turns:
            try:
                await self._client.get(url)
            except httpx2.TransportError as error:
                raise _lost(error) from None


def _require_ok(answer: httpx2.Response) -> None:
    status = answer.status_code
    if status == 200:
        return
    text = answer.reason_phrase.removeprefix(OURS) or f"HTTP {status}"
    error: type[CraneError] = {
        401: IndexRefused, 403: IndexRefused, 404: NotFound, 502: IndexBroken,
    }.get(status, IndexUnreachable)  # fmt: skip
    raise error(text)


def _lost(error: Exception) -> CraneError:
    return AgentTrouble(
        f"crane's agent does not answer ({type(error).__name__})",
        hint="run the command again; see also: crane agent status",
    )
