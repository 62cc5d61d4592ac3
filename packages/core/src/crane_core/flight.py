"""Work that many want at the same time: once for all of them, and not too much at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Turns(Generic[K]):
    """Lets some work at a time begin, in its order; what somebody waits for begins at once."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: OrderedDict[object, tuple[K, asyncio.Future[None]]] = OrderedDict()
        self._places: dict[K, list[object]] = {}

    @contextlib.asynccontextmanager
    async def turn(self, key: K) -> AsyncIterator[None]:
        """Wait for this work's turn, and hold it until the block ends."""
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait(key)
        try:
            yield
        finally:
            self._end()

    def hurry(self, key: K) -> None:
        """Let the work under that key begin, if it waits, however much of it there is."""
        for place in tuple(self._places.get(key, ())):
            self._begin(place)

    async def _wait(self, key: K) -> None:
        place, begun = object(), asyncio.get_running_loop().create_future()
        self._waiting[place] = key, begun
        self._places.setdefault(key, []).append(place)
        try:
            await begun
        except asyncio.CancelledError:
            if self._take(place) is None:
                self._end()  # its turn had just come
            raise

    def _end(self) -> None:
        self._free += 1
        while self._free > 0 and self._waiting:
            self._begin(next(iter(self._waiting)))

    def _begin(self, place: object) -> None:
        begun = self._take(place)
        assert begun is not None
        self._free -= 1
        begun.set_result(None)

    def _take(self, place: object) -> asyncio.Future[None] | None:
        key, begun = self._waiting.pop(place, (None, None))
        if key is not None and begun is not None:
            self._places[key].remove(place)
            if not self._places[key]:
                del self._places[key]
        return begun


class SingleFlight(Generic[K, T]):
    """Runs work by key: whoever asks while it is under way gets the same result, or error."""

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[T]] = {}

    def __contains__(self, key: K) -> bool:
        """Whether that work is under way."""
        return key in self._tasks

    async def run(self, key: K, work: Callable[[], Coroutine[None, None, T]]) -> T:
        """Return what the work under that key returns; it is begun if nobody has.

        It goes on when one who waits for it leaves: others may wait, and a request that was
        sent cannot be taken back.
        """
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.create_task(work())
            self._tasks[key] = task
            task.add_done_callback(lambda task: self._ended(key, task))
        return await asyncio.shield(task)

    async def finish(self, seconds: float) -> None:
        """Wait for what is under way, so long at most."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=seconds)

    async def cancel(self) -> None:
        """Give up what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, key: K, task: asyncio.Task[T]) -> None:
        self._tasks.pop(key, None)
        if not task.cancelled():
            # Who asked may all have left; asyncio complains about an error that nobody looks at.
            task.exception()
