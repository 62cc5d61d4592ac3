"""A limit for an index that stops taking what it is sent, and none for one that is slow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from crane_core.errors import IndexUnreachable
from crane_core.urls import origin_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

# Bytes. The next piece is asked for once all but the last 64 KiB are with the system, so with
# larger ones a slow index would seem to stand still.
PIECE = 64 << 10


class Progress:
    """Ends the block with `IndexUnreachable` if a piece of a body is not taken for `seconds`.

    What the body itself takes, as when a tool sends slowly, does not count. Nor does the wait for
    an answer: that is the transport's read time-out.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self._url, self._seconds = url, seconds
        self._limit = asyncio.timeout(None)
        self._is_over = False

    async def over(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield what a body yields, and watch how long each piece takes."""
        loop = asyncio.get_running_loop()
        async for data in body:
            for start in range(0, len(data), PIECE):
                self._set(loop.time() + self._seconds)
                yield data[start : start + PIECE]
                self._set(None)

    def _set(self, when: float | None) -> None:
        # An index may answer, and end the block, while it is still sent the rest.
        if not self._is_over and not self._limit.expired():
            self._limit.reschedule(when)

    async def __aenter__(self) -> Progress:
        await self._limit.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over = True
        try:
            await self._limit.__aexit__(kind, error, traceback)
        except TimeoutError:
            host = origin_of(self._url).host
            raise IndexUnreachable(
                f"{host} has taken nothing more of the upload for {self._seconds:g} s",
                hint="try again later",
            ) from None
