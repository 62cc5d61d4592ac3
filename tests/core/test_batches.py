"""One thread, in order, all that is there at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from crane_core.batches import Batches

PATIENCE = 30.0


class Disk:
    """Work that waits until it is let through."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = threading.Semaphore(0)
        self.free = threading.Semaphore(0)

    def work(self, pieces: Sequence[int]) -> None:
        self.begun.release()
        assert self.free.acquire(timeout=PATIENCE)
        self.batches.append(list(pieces))
        if -1 in pieces:
            raise OSError("no space left")


def test_what_comes_meanwhile_is_done_together() -> None:
    disk = Disk()
    batches = Batches(disk.work)
    batches.put(1)
    disk.begun.acquire()
    for n in (2, 3):
        batches.put(n)
    done = batches.do(4)
    disk.free.release(2)
    done.result(PATIENCE)
    assert disk.batches == [[1], [2, 3, 4]]
    batches.close()


def test_an_error_is_for_those_of_its_batch_who_wait() -> None:
    disk = Disk()
    batches = Batches(disk.work)
    disk.free.release(9)
    with pytest.raises(OSError, match="no space"):
        batches.do(-1).result(PATIENCE)
    batches.do(2).result(PATIENCE)
    batches.put(-1)
    batches.flush()
    batches.close()


def test_to_wait_ends_the_lingering() -> None:
    """Else this would take the hour."""
    done: list[int] = []
    batches: Batches[int] = Batches(done.extend, linger=3600.0)
    batches.put(1)
    batches.flush()
    assert done == [1]
    batches.put(2)
    batches.do(3).result(PATIENCE)
    assert done == [1, 2, 3]
    batches.put(4)
    batches.close()
    assert done == [1, 2, 3, 4]


def test_a_closed_one_begins_anew() -> None:
    done: list[int] = []
    batches: Batches[int] = Batches(done.extend)
    batches.close()
    batches.flush()
    for n in (1, 2):
        batches.put(n)
        batches.close()
    assert done == [1, 2]


def test_many_threads_lose_nothing() -> None:
    done: list[int] = []
    batches: Batches[int] = Batches(done.extend, linger=0.001)

    def put(start: int) -> None:
        for n in range(start, start + 500):
            batches.put(n)

    threads = [threading.Thread(target=put, args=(n * 500,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batches.close()
    assert sorted(done) == list(range(4000))
    for start in range(0, 4000, 500):  # each thread's in its order
        mine = [n for n in done if start <= n < start + 500]
        assert mine == sorted(mine)
