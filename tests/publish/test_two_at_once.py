"""Uploads of one file at the same time, by one gateway and by two: nobody is told of a part."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from gateway.harness import QuickClock
from publish.kit import Desk, encoded, fields_of, guard
from run.kit import until

from crane_devserver.wheels import make_wheel, wheel_metadata

MIB = 1 << 20
STEP = 4 * MIB


class Slow:
    """A wheel that somebody uploads piece by piece, as long as the test lets them."""

    def __init__(self, desk: Desk, wheel: Path) -> None:
        self.wheel, self._desk = wheel, desk
        self.stored = desk.world.private / "firm-lib" / wheel.name
        self._may_go_on = threading.Semaphore(0)
        self._pool = ThreadPoolExecutor(1)
        self.done: Future[httpx2.Response] = self._pool.submit(
            post, desk, wheel, self._wait_after_three
        )
        until(lambda: self.stored.exists() and self.stored.stat().st_size > MIB)

    def _wait_after_three(self, number: int) -> None:
        if number >= 3:
            self._may_go_on.acquire()

    def let_go(self) -> None:
        """Let all go that is left."""
        self._may_go_on.release(99)

    def go_on(self) -> None:
        """Let one piece go, and wait until it has come to the index."""
        if self.done.done():
            return
        before = self.stored.stat().st_size
        self._may_go_on.release()
        until(lambda: self.done.done() or self.stored.stat().st_size > before)


def post(
    desk: Desk, wheel: Path, before: Callable[[int], None] = lambda _: None
) -> httpx2.Response:
    """Upload a wheel with a client of one's own; `before` is called before each piece."""
    kind, body = encoded(wheel, fields_of(wheel))

    def pieces() -> Iterator[bytes]:
        for number, start in enumerate(range(0, len(body), STEP)):
            before(number)
            yield body[start : start + STEP]

    headers = {"content-type": kind, "content-length": str(len(body))}
    with httpx2.Client(trust_env=False, timeout=30) as http:
        return http.post(f"{desk.gate.url}/python/legacy/", content=pieces(), headers=headers)


@pytest.fixture
def same(desk: Desk, tmp_path: Path) -> Iterator[Slow]:
    slow = Slow(desk, make_wheel(tmp_path, "firm-lib", "1.0", requires=["a"], size=24 * MIB))
    yield slow
    slow.let_go()


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return make_wheel(tmp_path / "other", "firm-lib", "1.0", requires=["b"], size=24 * MIB)


def test_through_one_gateway(desk: Desk, same: Slow, other: Path) -> None:
    """The second waits for the first, and its tool may send all meanwhile."""
    sent: list[threading.Event] = []

    def send(wheel: Path) -> Future[httpx2.Response]:
        event = threading.Event()
        sent.append(event)
        return pool.submit(
            post, desk, wheel, lambda number: event.set() if number == 24 * MIB // STEP else None
        )

    pool = ThreadPoolExecutor(2)
    again, different = send(same.wheel), send(other)
    for event in sent:
        assert event.wait(20), "its tool had to wait"
    assert desk.posts() == [], "an upload has been answered by the index"
    same.let_go()
    assert same.done.result(20).status_code == 200
    assert again.result(20).status_code == 200, again.result().reason_phrase
    assert "already, and is the same" in again.result().text
    refused = different.result(20)
    assert (refused.status_code, "already exists" in refused.reason_phrase) == (400, True)
    assert same.stored.read_bytes() == same.wheel.read_bytes()
    beside = same.stored.with_name(f"{same.wheel.name}.metadata")
    assert beside.read_bytes() == wheel_metadata(same.wheel)
    told = [f"{e.problem} (request {e.request})" for e in desk.gate.events if e.problem]
    assert told == [refused.text[7:-1]]


class Stepping(QuickClock):
    """A clock by which something happens while one waits."""

    def __init__(self, step: Callable[[], None]) -> None:
        super().__init__()
        self._step = step
        self.waits = 0

    async def sleep(self, seconds: float) -> None:
        self.waits += 1
        await asyncio.to_thread(self._step)


@pytest.mark.parametrize("alike", [True, False])
def test_through_two(desk: Desk, same: Slow, other: Path, alike: bool) -> None:
    """The second looks at what is there, and sees it grow."""
    clock = Stepping(same.go_on)
    with replace(desk.home, clock=clock).serve(desk.index, guard=guard) as gate:
        done = post(replace(desk, gate=gate), same.wheel if alike else other)
        assert not [e for e in gate.events if e.problem] or not alike
    same.let_go()
    assert same.done.result(20).status_code == 200
    assert done.status_code == (200 if alike else 400), done.reason_phrase
    assert ("already, and is the same" if alike else "already exists") in done.text
    assert not [e for e in desk.gate.events if e.problem]
    if alike:
        assert clock.waits >= 2, "it was whole at once, so this shows nothing"


def test_a_part_that_stands_still_is_told(desk: Desk, same: Slow) -> None:
    """And so is one that never stops growing, in other words."""
    clock = QuickClock()
    with replace(desk.home, clock=clock).serve(desk.index, guard=guard) as gate:
        done = post(replace(desk, gate=gate), same.wheel)
        assert (done.status_code, "bytes are left at" in done.reason_phrase) == (424, True)

    def step() -> None:
        same.go_on()
        hurried.ahead += 400

    hurried = Stepping(step)
    with replace(desk.home, clock=hurried).serve(desk.index, guard=guard) as gate:
        done = post(replace(desk, gate=gate), same.wheel)
        assert done.status_code == 424
        assert "another upload of firm_lib-1.0-py3-none-any.whl is under way" in done.reason_phrase
    same.let_go()
    assert same.done.result(20).status_code == 200
