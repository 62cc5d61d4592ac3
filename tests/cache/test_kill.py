"""kill -9 at each step: the old or the new is there, whole, and the next process tidies up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cache.crashing import NEW, STEPS
from cache.kit import ADA, FILE_URL, PLENTY, URL, Desk, sha256
from cache.processes import SECONDS, assert_sound, assert_usable, environ, workers

from crane_core.cache.maintenance import purge, report
from crane_core.cache.model import PageKey

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")

CRASHING = str(Path(__file__).with_name("crashing.py"))
FULL = 5_000
MAKING_ROOM = {"an older file has left, not committed", "room is made, not committed"}


def killed(step: str, folder: Path, size: int) -> None:
    """Bring a file into the cache until the process dies at that step."""
    done = subprocess.run(
        [sys.executable, CRASHING, step, str(folder), str(size)],
        env=environ(), capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr


@pytest.mark.parametrize("step", [step for step in STEPS if step not in MAKING_ROOM])
def test_killed_with_an_empty_cache(folder: Path, step: str) -> None:
    killed(step, folder, PLENTY)
    check_what_is_left(Desk(folder), step)


@pytest.mark.parametrize("step", STEPS)
def test_killed_with_a_full_cache(folder: Path, step: str) -> None:
    desk = Desk(folder, FULL)
    if step != "the database is empty":
        for n in range(4):
            desk.put(bytes([n]) * 1_100, f"{FILE_URL}/{n}")
            desk.clock.time += 1
    desk.close()
    killed(step, folder, FULL)
    check_what_is_left(Desk(folder, FULL), step)


def check_what_is_left(desk: Desk, step: str) -> None:
    """Check a cache that a killed process has left, with the eyes of the next one."""
    assert len(desk.spools()) <= 1
    found = desk.files.find(sha256(NEW))
    renamed = step in {
        "it is renamed", "it is cached, not authorised", "it is authorised",
        "the page is written, not committed",
    }  # fmt: skip
    assert (found is not None) == renamed
    authorised = step in {"it is authorised", "the page is written, not committed"}
    assert (desk.files.record(FILE_URL, ADA) is not None) == authorised
    assert desk.pages.read(PageKey(URL, ADA)) is None
    for n in range(4):
        record = desk.files.record(f"{FILE_URL}/{n}", ADA)
        if record is not None:
            desk.files.find(record.sha256)  # whole, or none; never an error

    desk.clock.time += 2000
    assert_usable(desk)
    assert desk.spools() == []
    desk.put(NEW, FILE_URL, ADA)
    assert_sound(desk)
    before = report(desk.cache, [])
    assert before.file_bytes + before.page_bytes == desk.total()
    assert {f"file:{digest}" for digest in desk.on_disk()} <= desk.entries()
    purge(desk.cache)
    assert desk.entries() == set()
    assert desk.on_disk() == set()
    assert desk.notices == []
    desk.close()


@pytest.mark.parametrize("size", [PLENTY, 40_000], ids=["room for all", "making room all the time"])
def test_killed_at_any_moment(folder: Path, size: int) -> None:
    """Several processes, all killed wherever they are, again and again on one cache."""
    for lines in (1, 2, 3, 5, 8, 13):
        with workers(3, folder, size, 10_000) as started:
            assert started[0].stdout is not None
            for _ in range(lines):
                assert started[0].stdout.readline().strip().isdigit()
            for process in started:
                process.kill()
            for process in started:
                assert process.wait() == -9, process.communicate()[1]
        desk = Desk(folder, size)
        desk.clock.time += 1e6
        assert_usable(desk)
        report(desk.cache, [])
        assert_sound(desk)
        assert desk.spools() == []
        desk.close()
