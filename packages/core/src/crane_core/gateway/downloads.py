"""One fetch for everybody who wants the same file at the same time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from crane_core.gateway.download import Download
from crane_core.responses import PIECE

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from crane_core.cache.model import FileStore
    from crane_core.gateway.download import Source
    from crane_core.gateway.reader import Reader

# Seconds that readers who take nothing may hold up the others.
PATIENCE = 30.0
# Seconds that somebody waits until what has come is in the cache; mostly it takes milliseconds.
SETTLING_SECONDS = 2.0
MOST_REMEMBERED = 1024
# Bytes of one file that are in memory at once, at least and at most, and of all files together
# where more than the least is to be had. Measured: with four pieces a file comes faster by two
# fifths than with two; more make no difference.
LEAST_WINDOW = 2 * PIECE
LARGEST_WINDOW = 4 * PIECE
ALL_WINDOWS = 16 * PIECE


class Downloads:
    """The downloads under way; those with a key are shared by all who ask with that key."""

    def __init__(self, store: FileStore | None, *, patience: float = PATIENCE) -> None:
        self._store = store
        self._patience = patience
        self._shared: dict[Hashable, Download] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        # The keys whose downloads have ended, the last ones, with the count at that time.
        self._ended: OrderedDict[Hashable, int] = OrderedDict()

    def now(self) -> int:
        """Return a moment, for `has_ended_since`."""
        return self._count

    async def has_ended_since(self, key: Hashable, moment: int) -> bool:
        """Whether a download of that key has ended after that moment.

        One that has come whole and is about to be kept is waited for, but not for long: a slow disk
        is no reason to hold up a tool that can join it.
        """
        download = self._shared.get(key)
        if download is not None and download.is_complete:
            await asyncio.wait([download.task], timeout=SETTLING_SECONDS)
        return self._ended.get(key, -1) > moment

    def shared(self, key: Hashable, source: Callable[[], Source]) -> Reader:
        """Join the download of that key, which begins with its first reader."""
        download = self._shared.get(key)
        if download is None or not download.can_be_joined:
            download = Download(source(), self._store, self._patience, self._window)
            self._shared[key] = download
            self._watch(download, key)
        return download.join()

    def alone(self, source: Source) -> Reader:
        """Return the only reader of a download that is not kept."""
        download = Download(source, None, self._patience, self._window)
        self._watch(download, None)
        return download.join()

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _window(self) -> int:
        share = ALL_WINDOWS // max(len(self._tasks), 1)
        return min(max(share, LEAST_WINDOW), LARGEST_WINDOW)

    def _watch(self, download: Download, key: Hashable | None) -> None:
        self._tasks.add(download.task)
        download.task.add_done_callback(lambda _: self._forget(download, key))

    def _forget(self, download: Download, key: Hashable | None) -> None:
        self._tasks.discard(download.task)
        if key is None:
            return
        self._count += 1
        self._ended[key] = self._count
        self._ended.move_to_end(key)
        if len(self._ended) > MOST_REMEMBERED:
            self._ended.popitem(last=False)
        if self._shared.get(key) is download:
            del self._shared[key]
