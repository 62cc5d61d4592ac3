"""So much at once, in order; what somebody waits for goes first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from crane_core.flight import Turns


class Work:
    """Pieces of work by name, that begin when it is their turn and end when they are told to."""

    def __init__(self, at_once: int) -> None:
        self.turns: Turns[str] = Turns(at_once)
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, *names: str) -> None:
        for name in names:
            self.ends[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._do(name))
        await self.settle()

    async def _do(self, name: str) -> None:
        async with self.turns.turn(name):
            self.begun.append(name)
            await self.ends[name].wait()

    async def end(self, *names: str) -> None:
        for name in names:
            self.ends[name].set()
        await self.settle()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


def run(test: Callable[[Work], Coroutine[None, None, None]], at_once: int = 2) -> None:
    async def main() -> None:
        await test(Work(at_once))

    asyncio.run(main())


def test_in_their_order() -> None:
    async def main(work: Work) -> None:
        await work.start("a", "b", "c", "d")
        assert work.begun == ["a", "b"]
        await work.end("b")
        assert work.begun == ["a", "b", "c"]
        await work.end("a", "c", "d")
        assert work.begun == ["a", "b", "c", "d"]

    run(main)


def test_what_is_hurried_begins_at_once_and_counts() -> None:
    async def main(work: Work) -> None:
        await work.start("a", "b", "c", "d")
        work.turns.hurry("d")
        work.turns.hurry("nothing")
        await work.settle()
        assert work.begun == ["a", "b", "d"]
        await work.end("a")
        assert work.begun == ["a", "b", "d"], "two are under way, as many as may be"
        await work.end("b")
        assert work.begun == ["a", "b", "d", "c"]

    run(main)


def test_one_that_gives_up_takes_no_turn() -> None:
    async def main(work: Work) -> None:
        await work.start("a", "b", "c")
        work.tasks["b"].cancel()
        await work.end("a")
        assert work.begun == ["a", "c"]
        await work.end("c")
        await work.start("d")
        assert work.begun == ["a", "c", "d"]

    run(main, at_once=1)


def test_one_that_gives_up_as_its_turn_comes_hands_it_on() -> None:
    async def main(work: Work) -> None:
        await work.start("a", "b", "c")
        work.ends["a"].set()
        await asyncio.sleep(0)  # b's turn has come, and b has not run yet
        work.tasks["b"].cancel()
        await work.settle()
        assert work.begun == ["a", "c"]

    run(main, at_once=1)
