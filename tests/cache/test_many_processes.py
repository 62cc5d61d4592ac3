"""Many processes at one cache: nobody is given what is another's, or damaged, or too much."""

from __future__ import annotations

from pathlib import Path

import pytest
from cache.kit import PLENTY, Desk
from cache.processes import SECONDS, Process, assert_sound, assert_usable, workers

from crane_core.cache.maintenance import purge

ROUNDS = 60


def finished(process: Process) -> str:
    """Wait for a worker and return what it said."""
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    return out


@pytest.mark.parametrize("size", [PLENTY, 60_000], ids=["room for all", "making room all the time"])
def test_many_processes_share_a_cache(folder: Path, size: int) -> None:
    """It is not even there when they begin."""
    with workers(6, folder, size, ROUNDS) as started:
        said = [finished(process) for process in started]
    assert all(f"{ROUNDS - 1}\n" in out for out in said)
    assert [line for out in said for line in out.splitlines() if not line.isdigit()] == []
    desk = Desk(folder, size)
    assert_sound(desk)
    assert desk.spools() == []
    desk.clock.time += ROUNDS * 10_000
    assert_usable(desk)
    desk.close()


def test_a_purge_while_processes_work(folder: Path) -> None:
    """What they read stays readable, what they write is there afterwards, nothing fails."""
    desk = Desk(folder, PLENTY)
    with workers(3, folder, PLENTY, ROUNDS) as started:
        removed = 0
        for _ in range(20):
            assert started[0].stdout is not None
            started[0].stdout.readline()
            removed += purge(desk.cache).files
        for process in started:
            finished(process)
    assert removed > 0
    assert_sound(desk)
    assert_usable(desk)
    purge(desk.cache)
    assert desk.entries() == set()
    assert desk.on_disk() == set()
    desk.close()
