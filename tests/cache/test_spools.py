"""What killed writers have left: tidied away, but never from under one that lives."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from cache.kit import Desk, sha256

from crane_core.cache import reserving
from crane_core.cache import spool as spool_module
from crane_core.cache.spool import tidy


def leftover(desk: Desk, name: str = "0123.part") -> Path:
    """Put what a killed process leaves."""
    folder = desk.folder / "spool"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(b"half a wheel")
    return path


def test_leftovers_go_when_the_next_process_begins(desk: Desk) -> None:
    dead = leftover(desk)
    spool = desk.files.spool(None)
    assert spool is not None
    assert desk.spools() == [spool.path]
    assert not dead.exists()
    spool.discard()


def test_spools_of_the_living_stay(desk: Desk) -> None:
    living = desk.files.spool(None)
    assert living is not None
    living.write(b"whe")
    dead = leftover(desk)

    assert tidy(desk.folder / "spool") == len(b"half a wheel")

    assert not dead.exists()
    living.write(b"el")
    assert living.commit(sha256(b"wheel")).path.read_bytes() == b"wheel"


def test_other_files_are_not_ours_to_tidy(desk: Desk) -> None:
    other = leftover(desk, "notes.txt")
    tidy(desk.folder / "spool")
    assert other.exists()


def test_a_folder_that_is_not_there_is_tidy(folder: Path) -> None:
    assert tidy(folder) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
def test_a_spool_that_is_tidied_before_it_is_locked_is_made_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its lock another process may find it."""
    hold, open_ = spool_module._hold, os.open
    opened: list[str] = []

    def opening(path: object, *more: int) -> int:
        descriptor = open_(path, *more)  # type: ignore[arg-type]
        if str(path).endswith(".part"):
            opened.append(str(path))
        return descriptor

    def tidied_first(descriptor: int, *, needed: bool = False) -> bool:
        if len(opened) == 1:
            Path(opened[0]).unlink()
        return hold(descriptor, needed=needed)

    monkeypatch.setattr(spool_module.os, "open", opening)
    monkeypatch.setattr(spool_module, "_hold", tidied_first)
    spool = desk.files.spool(None)
    assert spool is not None
    assert len(opened) == 2
    spool.write(b"wheel")
    assert spool.commit(sha256(b"wheel")).path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
def test_a_file_system_without_locks_is_no_hindrance(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There nothing is tidied, since nobody can say who lives."""

    def no_locks(descriptor: int, kind: int) -> None:
        raise OSError(95, "not supported")

    locks = SimpleNamespace(flock=no_locks, LOCK_EX=2, LOCK_NB=4)
    monkeypatch.setattr(spool_module, "fcntl", locks)
    dead = leftover(desk)
    assert desk.put(b"wheel").path.exists()
    assert dead.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="others reserve nothing")
def test_room_is_reserved_ahead_within_bounds(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no part of the file, and never more than a step or than the file will have."""
    half = 1 << 19
    monkeypatch.setattr(reserving, "STEP", 2 * half)
    spool = desk.files.spool(5 * half)
    assert spool is not None
    sizes = []
    for _ in range(5):
        spool.write(bytes(half))
        status = spool.path.stat()
        sizes.append((status.st_size // half, round(status.st_blocks * 512 / half)))
    assert sizes == [(1, 2), (2, 2), (3, 4), (4, 4), (5, 5)]
    cached = spool.commit(sha256(bytes(5 * half)))
    assert cached.path.read_bytes() == bytes(5 * half)
