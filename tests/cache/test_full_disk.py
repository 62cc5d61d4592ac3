"""Disks that are full or read-only: whoever wants a file gets it, from the index if need be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from auth.disks import drain, fill, make_read_only, small_disk
from cache.kit import ADA, FILE_URL, INDEX, NOON, URL, Desk, Reply, Wire, sha256
from cache.processes import assert_sound

from crane_core.cache.model import FileRecord, PageKey
from crane_core.cache.reserving import Reservation
from crane_core.errors import DiskFull, StorageError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system")

BIG = b"x" * 400_000
PAGE = {"cache-control": "max-age=600"}


def test_a_disk_that_fills_up_under_a_download(tmp_path: Path) -> None:
    """What was written so far is there to be read on; the cache stays as it was."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        desk = Desk(disk)
        old = desk.put(b"old", FILE_URL)
        spool = desk.files.spool(None)
        assert spool is not None
        spool.write(BIG[:1000])
        fill(disk)
        with pytest.raises(DiskFull):
            spool.write(BIG)
        with spool.reader() as reader:
            assert reader.read(1000) == BIG[:1000]
        spool.discard()
        drain(disk)
        assert desk.files.find(old.sha256) == old
        assert desk.put(BIG).path.read_bytes() == BIG
        assert_sound(desk)
        desk.close()


def test_room_that_cannot_be_reserved_is_given_back(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk, (disk / "x").open("wb", buffering=0) as file:
        room = Reservation(file.fileno(), 64 << 20)
        room.extend(0, 1)
        assert (disk / "x").stat().st_blocks == 0
        file.write(BIG)
        room.extend(len(BIG), 1)
        assert (disk / "x").read_bytes() == BIG


def test_a_full_disk_is_said_once_and_costs_no_answer(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        desk = Desk(disk)
        digest = desk.put(b"old", FILE_URL).sha256
        fill(disk)
        wire = Wire(desk, *[Reply(PAGE, bytes([n]) * 100_000) for n in range(20)])
        for n in range(20):
            assert wire.get(f"{URL}{n}/").body == bytes([n]) * 100_000
        assert desk.files.spool(10_000) is None
        desk.files.authorise(FILE_URL, ADA, FileRecord(digest, NOON))
        desk.contacts.note(INDEX.token_prefix, ADA, NOON)
        assert desk.files.find(digest) is not None
        (notice,) = desk.notices
        assert "no space left" in notice
        drain(disk)
        key = desk.put_page()
        assert desk.pages.read(key) is not None
        assert_sound(desk)
        desk.close()


def test_a_disk_that_is_full_before_the_cache_is_there(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        fill(disk)
        desk = Desk(disk / "crane")
        wire = Wire(desk, Reply(PAGE), Reply(PAGE))
        assert wire.get().status == wire.get().status == 200
        spool = desk.files.spool(None)
        if spool is not None:
            with pytest.raises(StorageError):
                spool.write(b"x")
            spool.discard()
        assert len(desk.notices) == 1
        drain(disk)
        assert desk.pages.read(desk.put_page()) is not None
        desk.close()


def test_a_commit_that_finds_no_room_for_its_entry(tmp_path: Path) -> None:
    """The file is whole, its entry is not: then it is no cached file."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        desk = Desk(disk)
        spool = desk.files.spool(None)
        assert spool is not None
        spool.write(b"wheel")
        fill(disk)
        with pytest.raises(StorageError):
            spool.commit(sha256(b"wheel"))
        with spool.reader() as reader:
            assert reader.read() == b"wheel"
        spool.discard()
        assert desk.on_disk() == set()
        drain(disk)
        assert desk.put(b"wheel").path.exists()
        assert_sound(desk)
        desk.close()


def test_a_read_only_disk(tmp_path: Path) -> None:
    """No cache, and no error."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        desk = Desk(disk)
        desk.put(b"wheel", FILE_URL)
        desk.put_page()
        desk.close()
        make_read_only(disk)
        view = desk.another()
        wire = Wire(view, Reply(PAGE), Reply(PAGE))
        assert wire.get().status == wire.get().status == 200
        assert view.files.spool(None) is None
        view.files.find(sha256(b"wheel"))
        assert view.pages.read(PageKey("x", ADA)) is None
        assert len(view.notices) == 1
