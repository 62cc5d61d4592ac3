"""One tool's way through a download: it follows the file as it grows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from crane_core.errors import CraneError
from crane_core.gateway.file_answers import StreamBroken

if TYPE_CHECKING:
    from collections.abc import Callable

    from crane_core.gateway.download import Download
    from crane_core.gateway.responses import Send


class Reader:
    """A place in a download, which nobody else moves."""

    def __init__(self, download: Download) -> None:
        self._download = download
        self.position = 0
        self.is_left_behind = False

    async def deliver(self, send: Send, is_gone: Callable[[], bool]) -> int:
        """Send the answer as it comes, and return the size of what was sent of its body.

        Stops when the tool `is_gone`. Raises a `CraneError` before anything was sent, and
        `StreamBroken` afterwards.
        """
        download = self._download
        try:
            if await self._comes(lambda: download.start is not None, is_gone):
                assert download.start is not None
                await send(download.start)
                await self._send_body(send, is_gone)
            return self.position
        finally:
            download.leave(self)

    async def settled(self) -> None:
        """Wait until the download has ended, and what is kept of it is in the cache."""
        await asyncio.wait([self._download.task])

    def wake(self) -> None:
        """Look whether the tool has left."""
        self._download.wake()

    async def _send_body(self, send: Send, is_gone: Callable[[], bool]) -> None:
        download, is_last = self._download, False
        while not is_last and await self._comes(self._has_more, is_gone):
            piece = download.read(self)
            is_last = download.is_complete and self.position == download.visible
            await send({"type": "http.response.body", "body": piece, "more_body": not is_last})

    def _has_more(self) -> bool:
        return self.position < self._download.visible or self._download.is_complete

    async def _comes(self, condition: Callable[[], bool], is_gone: Callable[[], bool]) -> bool:
        """Wait until the condition is met. Returns False if nobody is there to wait for it."""
        while not is_gone():
            if self.is_left_behind:
                raise StreamBroken("this tool took nothing while others waited for it")
            if (failure := self._download.failure) is not None:
                raise self._told(failure)
            if condition():
                return True
            await self._download.news()
        return False

    def _told(self, failure: Exception) -> Exception:
        if self._download.start is None or isinstance(failure, StreamBroken):
            return failure
        return StreamBroken(failure.line if isinstance(failure, CraneError) else repr(failure))
