"""Several processes at one cache, and what must hold when they have ended, however that was."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cache.kit import Desk, sha256

import crane_core

TESTS = Path(__file__).parents[1]
WORKER = Path(__file__).with_name("worker.py")
SECONDS = 120
Process = subprocess.Popen[str]


def environ() -> dict[str, str]:
    """Return the environment of a process that imports from the tests."""
    ours = str(Path(crane_core.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), ours])}


@contextmanager
def workers(count: int, folder: Path, size: int, rounds: int) -> Iterator[list[Process]]:
    """Yield workers that have begun, all at once."""
    started = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(folder), str(size), str(seed), str(rounds)],
            env=environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(count)
    ]  # fmt: skip
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def assert_sound(desk: Desk) -> None:
    """Assert that the cache is whole: its index, each file, and what they say of each other."""
    database = desk.cache.database
    assert database.rows("PRAGMA integrity_check") == [("ok",)]
    for table in ("pages", "bodies"):
        missing = f"SELECT name FROM {table} WHERE name NOT IN (SELECT name FROM entries)"
        assert database.rows(missing) == []
    pages = {name for name in desk.entries() if name.startswith("page:")}
    assert pages == {name for (name,) in database.rows("SELECT name FROM pages")}
    assert pages == {name for (name,) in database.rows("SELECT name FROM bodies")}
    for digest in desk.on_disk():
        assert f"file:{digest}" in desk.entries(), "a file that nobody counts"
        found = desk.files.find(digest)
        assert found is not None
        assert sha256(found.path.read_bytes()) == digest
    assert desk.total() <= desk.size


def assert_usable(desk: Desk) -> None:
    """Assert that the cache takes and gives files and pages."""
    cached = desk.put(b"afterwards", "https://x/afterwards")
    assert desk.files.find(cached.sha256) == cached
    assert desk.files.record("https://x/afterwards", "1234:ada") is not None
    page = desk.pages.read(desk.put_page("https://x/", body=b"afterwards"))
    assert page is not None
    assert page.body == b"afterwards"
    assert desk.notices == []
