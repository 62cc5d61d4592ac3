"""A file on its way: one writer, and readers who follow it as it grows."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from crane_core.gateway.file_answers import StreamBroken
from crane_core.gateway.keeper import Keeper, to_the_end
from crane_core.gateway.reader import Reader
from crane_core.gateway.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from crane_core.cache.model import FileStore
    from crane_core.gateway.transfer import Transfer
    from crane_core.responses import Piece

STEP = 256 << 10
# Bytes at the end of what has come, which nobody is given yet.
HELD_BACK = 64 << 10
# The part of a file that is worth the rest, although nobody waits for it any more.
NEARLY = 0.9


class Source(Protocol):
    """Where a file comes from, and what is to be done with it when it is here."""

    def open(self) -> AbstractAsyncContextManager[Transfer]:
        """Ask for the file. Raises a `CraneError`."""
        ...

    async def verify(self, sha256: str) -> None:
        """Raise `StreamBroken` if the bytes are not the file's."""
        ...

    async def kept(self, sha256: str) -> None:
        """Take note that the file is in the cache now."""
        ...


class Download:
    """A file on its way.

    What comes is hashed and written into the cache in a thread, and stays in memory until then:
    readers who keep up get it from there, the others from the cache's disk, each in its own time.
    Without a cache, or once its disk is full, it stays in memory until the slowest reader has it,
    and the index is read no faster than that. The last bytes are held back until the hash is
    known: without it no tool has a file.
    """

    def __init__(
        self,
        source: Source,
        store: FileStore | None,
        patience: float,
        most_in_memory: Callable[[], int],
    ) -> None:
        """`most_in_memory` returns how many bytes may be there, with one piece more."""
        self._source = source
        self._most_in_memory = most_in_memory
        self._patience = patience
        self._keeper = Keeper(store)
        self._window = Window()
        self._readers: set[Reader] = set()
        # What the thread has not taken yet; and whether it has reported what it has.
        self._untaken: deque[Piece] = deque()
        self._is_reported = False
        self._all_here = False
        self._arrived, self._room, self._news = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._saving: asyncio.Task[None] | None = None
        # The message that begins the answer, once the index has begun it.
        self.start: dict[str, Any] | None = None
        # Up to where readers may read.
        self.visible = 0
        self.is_complete = False
        self.failure: Exception | None = None
        self.task = asyncio.create_task(self._run())
        self.task.add_done_callback(self._over)

    @property
    def can_be_joined(self) -> bool:
        """Whether somebody who comes now can still get all of it."""
        can_begin = self._keeper.has_all or self._window.start == 0
        return can_begin and self.failure is None and not self.task.done()

    def join(self) -> Reader:
        """Return a reader, at the beginning."""
        reader = Reader(self)
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """Take a reader off; the last one ends it all, unless it is nearly done."""
        self._readers.discard(reader)
        if self._readers:
            self._trim()
        elif self.task.done():
            self._keeper.close()
        elif not self._is_worth_finishing():
            self._fail(StreamBroken("nobody waits for it any more"))
            self.task.cancel()

    def read(self, reader: Reader) -> Piece:
        """Return what the reader gets next, empty at the end of what is there."""
        offset = reader.position
        if offset >= self.visible:
            return b""
        if offset < self._window.start:
            piece: Piece = self._keeper.read(offset, min(STEP, self._window.start - offset))
        else:
            piece = self._window.piece(offset, self.visible)
        if not piece:
            raise StreamBroken("the cache's disk does not give back what was written")
        reader.position += len(piece)
        if not self._keeper.has_all:
            self._trim()
        return piece

    async def news(self) -> None:
        """Wait until something has changed."""
        await self._news.wait()

    def wake(self) -> None:
        """Let every reader look again."""
        self._news.set()
        self._news = asyncio.Event()

    async def _run(self) -> None:
        is_kept = False
        try:
            await self._receive()
            sha256 = self._keeper.sha256
            await self._source.verify(sha256)
            self.visible, self.is_complete = self._window.end, True
            self.wake()
            is_kept = await to_the_end(self._keeper.commit, sha256)
            if is_kept:
                await self._source.kept(sha256)
        except Exception as error:  # noqa: BLE001 - whatever it is, no reader must wait on
            self._fail(error)
        finally:
            if not is_kept:
                await to_the_end(self._keeper.discard)

    def _over(self, _: object) -> None:
        self._fail(StreamBroken("the gateway ends"))
        if not self._readers:
            self._keeper.close()

    async def _receive(self) -> None:
        async with self._source.open() as transfer:
            self._keeper.size = transfer.size
            self.start = transfer.start
            self.wake()
            self._saving = asyncio.create_task(self._save())
            self._saving.add_done_callback(lambda _: self._room.set())
            try:
                await transfer.pour(self._take)
            finally:
                self._all_here = True
                self._arrived.set()
                # When we are cancelled, too: nothing is discarded while it is written.
                await self._saving

    async def _take(self, piece: Piece) -> None:
        newest = self._window.end
        self._window.append(piece)
        self.visible = self._window.end - min(len(piece), HELD_BACK)
        self._untaken.append(piece)
        self._arrived.set()
        self.wake()
        # With nothing but the newest piece there is nothing to wait for.
        while self._window.size >= self._most_in_memory() and self._window.start < newest:
            await self._make_room()

    async def _make_room(self) -> None:
        assert self._saving is not None
        if self._saving.done():
            await self._saving  # it failed, and says why
        self._room.clear()
        if self._keeper.has_all:
            await self._room.wait()
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._room.wait()
        except TimeoutError:
            self._leave_behind()

    async def _save(self) -> None:
        """Have what arrives hashed and written in a thread, until all is here.

        The thread goes on while there is more: a hop for each piece would leave it idle for a
        third of the time.
        """
        report = partial(self._report, asyncio.get_running_loop())
        while True:
            if self._untaken:
                await to_the_end(self._keeper.take, self._untaken, report)
                if self._is_disk_of_no_use():
                    await to_the_end(self._keeper.give_back)
            elif self._all_here:
                return
            else:
                self._arrived.clear()
                await self._arrived.wait()

    def _report(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop look at what was taken; in the thread."""
        if not self._is_reported:
            self._is_reported = True
            loop.call_soon_threadsafe(self._taken)

    def _taken(self) -> None:
        self._is_reported = False
        self._trim()
        # Also where nothing was dropped: the disk may be full now.
        self._room.set()

    def _trim(self) -> None:
        """Forget what nobody needs in memory any more."""
        limit = min(self._keeper.taken, self.visible)
        if not self._keeper.has_all:
            limit = min([limit, *(reader.position for reader in self._readers)])
        if self._window.drop(limit):
            self._room.set()

    def _is_disk_of_no_use(self) -> bool:
        """Whether what was written is the beginning only, and nobody still reads it."""
        if self._keeper.has_all or not self._keeper.holds_space:
            return False
        return all(reader.position >= self._window.start for reader in self._readers)

    def _leave_behind(self) -> None:
        """Give up readers who take nothing while others wait for them."""
        slowest = min((reader.position for reader in self._readers), default=0)
        stuck = {reader for reader in self._readers if reader.position == slowest}
        if stuck == self._readers:
            return
        for reader in stuck:
            reader.is_left_behind = True
        self._readers -= stuck
        self._trim()

    def _is_worth_finishing(self) -> bool:
        if self.is_complete:
            return True
        size = self._keeper.size
        return size is not None and self._keeper.has_all and self._window.end >= NEARLY * size

    def _fail(self, error: Exception) -> None:
        if self.failure is None and not self.is_complete:
            self.failure = error
            self.wake()
