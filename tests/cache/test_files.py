"""Files by content: whole or not there, never more than the limit, the least used leave first."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from cache.kit import ADA, FILE_URL, NOON, PLENTY, Desk, sha256

from crane_core.cache import files as files_module
from crane_core.cache.model import FileRecord, PageKey
from crane_core.errors import NotWritable

HOUR = 3_600.0


def test_what_was_put_is_found(desk: Desk) -> None:
    cached = desk.put(b"wheel")
    for view in (desk, desk.another()):
        found = view.files.find(cached.sha256)
        assert found == cached
        assert found.path.read_bytes() == b"wheel"
        assert found.size == 5
    assert desk.spools() == []
    assert desk.notices == []


@pytest.mark.parametrize(
    "digest", ["", "0" * 64, "0" * 63, "A" * 64, "../" * 21 + "x", "..", "0" * 64 + "\n", "ß" * 64]
)
def test_what_was_not_put_is_not_found(desk: Desk, digest: str) -> None:
    desk.put(b"wheel")
    assert desk.files.find(digest) is None
    assert desk.notices == []


def test_which_of_many_are_there_is_one_question(desk: Desk) -> None:
    """Files that have left are not among them, nor those of which only somebody claims it."""
    some = {desk.put(bytes([number])).sha256 for number in range(3)}
    left = desk.put(b"left")
    left.path.unlink()
    assert desk.files.find(left.sha256) is None
    others = [sha256(str(number).encode()) for number in range(2000)]
    for view in (desk, desk.another()):
        assert view.files.held([*others, *some, left.sha256, "../x", '"']) - {left.sha256} == some
    assert desk.files.held([]) == set()


def test_a_spool_is_read_while_it_is_written(desk: Desk) -> None:
    """Each reader is where it is, whoever writes and reads meanwhile, beyond the commit."""
    spool = desk.files.spool(None)
    assert spool is not None
    with spool.reader() as early, spool.reader() as late:
        assert early.read(10) == b""
        spool.write(b"first ")
        assert early.read(100) == b"first "
        spool.write(b"second ")
        assert late.read(6) == b"first "
        cached = spool.commit(sha256(b"first second "))
        assert early.read() == b"second "
        assert late.read() == b"second "
    with spool.reader() as after:
        assert after.read() == cached.path.read_bytes() == b"first second "
    spool.discard()
    assert desk.files.find(cached.sha256) == cached


def test_a_discarded_spool_is_gone(desk: Desk) -> None:
    spool = desk.files.spool(None)
    assert spool is not None
    spool.write(b"half")
    with spool.reader() as reader:
        spool.discard()
        spool.discard()
        assert reader.read() == b"half"
    assert desk.spools() == []
    assert desk.entries() == set()


@pytest.mark.parametrize("digest", ["", "../../x", "0" * 63])
def test_a_commit_needs_a_hash(desk: Desk, digest: str) -> None:
    spool = desk.files.spool(None)
    assert spool is not None
    spool.write(b"x")
    with pytest.raises(NotWritable):
        spool.commit(digest)
    spool.discard()
    assert desk.entries() == set()
    assert desk.on_disk() == set()


def damage_in_place(path: Path) -> None:
    status = path.stat()
    path.write_bytes(b"WHEEL")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace_by_a_link(path: Path) -> None:
    """Leave the same bytes under the name, by way of a link that is as long as they are."""
    path.rename(path.with_name("other"))
    path.symlink_to("other")


DAMAGE = {
    "other bytes": damage_in_place,
    "cut": lambda path: os.truncate(path, 2),
    "empty, as after a power cut": lambda path: os.truncate(path, 0),
    "longer": lambda path: path.write_bytes(b"wheel and more"),
    "replaced by a link": replace_by_a_link,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
def test_a_damaged_file_is_removed(desk: Desk, damage: object) -> None:
    cached = desk.put(b"wheel", FILE_URL)
    damage(cached.path)  # type: ignore[operator]
    view = desk.another()

    assert view.files.find(cached.sha256) is None

    assert not cached.path.is_symlink()
    assert not cached.path.exists()
    assert view.entries() == set()
    assert view.files.record(FILE_URL, ADA) is None
    (notice,) = view.notices
    assert "damaged" in notice
    assert desk.put(b"wheel").path.read_bytes() == b"wheel"
    assert view.files.find(cached.sha256) is not None


def test_a_file_of_the_right_size_in_the_index_only(desk: Desk) -> None:
    """A wrong size is seen without reading the file."""
    cached = desk.put(b"wheel")
    desk.cache.database.change("UPDATE entries SET size = 6")
    assert desk.another().files.find(cached.sha256) is None


def test_a_change_is_seen_by_a_process_that_has_looked_before(desk: Desk) -> None:
    cached = desk.put(b"wheel")
    assert desk.files.find(cached.sha256)
    cached.path.write_bytes(b"WHEEL")
    os.utime(cached.path, (NOON, NOON))
    assert desk.files.find(cached.sha256) is None


def test_a_file_is_hashed_once_by_each_process(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    digest = files_module.hashlib.file_digest

    def counting(file: object, name: str) -> object:
        hashed.append(name)
        return digest(file, name)  # type: ignore[arg-type, call-overload]

    monkeypatch.setattr(files_module.hashlib, "file_digest", counting)
    cached = desk.put(b"wheel")
    view = desk.another()
    for _ in range(3):
        assert desk.files.find(cached.sha256)
        assert view.files.find(cached.sha256)
    assert len(hashed) == 1, "whoever wrote it knows the hash; the other reads it once"


def test_a_file_that_vanished_is_not_found(desk: Desk) -> None:
    cached = desk.put(b"wheel")
    cached.path.unlink()
    assert desk.files.find(cached.sha256) is None
    assert desk.notices == []


def test_the_least_recently_used_leaves_first(folder: Path) -> None:
    desk = Desk(folder, size=3_500)
    cached = []
    for letter in b"abc":
        cached.append(desk.put(bytes([letter]) * 1000, f"{FILE_URL}/{letter}"))
        desk.clock.time += HOUR
    assert desk.files.find(cached[0].sha256)
    desk.clock.time += 1

    cached.append(desk.put(b"d" * 1000))

    assert desk.on_disk() == {cached[n].sha256 for n in (0, 2, 3)}
    assert desk.total() == 3000
    assert desk.files.record(f"{FILE_URL}/{b'b'[0]}", ADA) is None
    assert desk.files.record(f"{FILE_URL}/{b'a'[0]}", ADA) is not None
    desk.close()


def test_pages_and_files_share_the_room(folder: Path) -> None:
    desk = Desk(folder, size=3_000)
    page = desk.put_page(body=b"p" * 1000)
    desk.clock.time += 1
    desk.put(b"f" * 1000)
    desk.clock.time += HOUR
    assert desk.pages.read(page)
    desk.clock.time += 1
    file = desk.put(b"g" * 1000)
    assert desk.on_disk() == {file.sha256}
    assert desk.pages.read(page)
    desk.clock.time += 1
    other = desk.put_page(page.url + "2", body=b"q" * 2_700)
    assert desk.on_disk() == set()
    assert desk.pages.read(page) is None
    assert desk.pages.read(other)
    assert 2_700 < desk.total() <= 3_000
    desk.close()


def test_room_is_made_for_a_large_one(folder: Path) -> None:
    """More leave than fit in one step."""
    desk = Desk(folder, size=10_000)
    for n in range(50):
        desk.put(b"%d" % n * 50)
        desk.clock.time += 1
    big = desk.put(b"b" * 9_990)
    assert desk.on_disk() == {big.sha256}
    assert desk.total() == 9_990
    desk.close()


def test_a_clock_that_was_set_back_does_not_push_new_files_out(folder: Path) -> None:
    desk = Desk(folder, size=2_500)
    old = [desk.put(letter * 1000) for letter in (b"a", b"b")]
    desk.clock.time -= 365 * 24 * HOUR
    new = [desk.put(letter * 1000) for letter in (b"c", b"d")]
    assert desk.on_disk() == {cached.sha256 for cached in new}
    assert not desk.on_disk() & {cached.sha256 for cached in old}
    desk.close()


def test_at_the_same_moment_the_new_one_stays(folder: Path) -> None:
    desk = Desk(folder, size=1_500)
    for letter in (b"a", b"b", b"c", b"d"):
        cached = desk.put(letter * 1000)
        assert desk.files.find(cached.sha256) is not None
    desk.close()


def test_a_use_is_written_once_an_hour(desk: Desk) -> None:
    cached = desk.put(b"wheel")

    def used_at() -> float:
        return float(desk.cache.database.rows("SELECT used_at FROM entries")[0][0])

    desk.clock.time += HOUR - 1
    desk.files.find(cached.sha256)
    assert used_at() == NOON
    desk.clock.time += 1
    desk.files.find(cached.sha256)
    assert used_at() == NOON + HOUR


def test_another_process_that_makes_room_in_the_middle_of_a_commit(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry is there, the file not yet: the file is accounted for all the same."""
    made: list[str] = []

    def make_room(*_: object, sparing: str, **__: object) -> None:
        made.append(sparing)
        if len(made) == 1:
            desk.cache.database.change("DELETE FROM entries")

    monkeypatch.setattr(files_module.entries, "make_room", make_room)
    cached = desk.put(b"wheel")
    assert desk.entries() == {f"file:{cached.sha256}"}


def test_what_is_being_read_stays_readable(folder: Path) -> None:
    desk = Desk(folder, size=2_500)
    cached = desk.put(b"a" * 2000)
    with cached.path.open("rb") as reader:
        assert reader.read(10) == b"a" * 10
        desk.clock.time += 1
        desk.put(b"b" * 2000)
        assert not cached.path.exists()
        assert reader.read() == b"a" * 1990
    desk.close()


def test_what_is_too_large_is_not_tried(folder: Path) -> None:
    desk = Desk(folder, size=1000)
    kept = desk.put(b"a" * 900)
    assert desk.files.spool(1001) is None
    spool = desk.files.spool(None)
    assert spool is not None
    spool.write(b"x" * 1000)
    with pytest.raises(NotWritable):
        spool.write(b"x")
    spool.discard()
    assert desk.files.find(kept.sha256)
    assert desk.spools() == []
    desk.close()


def test_the_tool_needs_room_for_its_own_copy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil._ntuple_diskusage(10_000, 4_000, 6_000)  # type: ignore[attr-defined]
    monkeypatch.setattr(files_module.shutil, "disk_usage", lambda _: usage)
    spool = desk.files.spool(3000)
    assert spool is not None
    spool.discard()
    assert desk.files.spool(3001) is None
    assert desk.spools() == []


def test_a_cache_of_size_0_is_none(folder: Path) -> None:
    """Nothing is written, and what was there before is not read."""
    desk = Desk(folder)
    cached = desk.put(b"wheel", FILE_URL)
    desk.put_page()
    desk.contacts.note("x", ADA, NOON)
    desk.close()
    off = Desk(folder, size=0)
    assert off.files.find(cached.sha256) is None
    assert off.files.spool(None) is None
    assert off.files.record(FILE_URL, ADA) is None
    assert off.pages.read(off.put_page()) is None
    assert off.contacts.last("x", ADA) is None
    empty = Desk(folder.parent / "other", size=0)
    empty.files.authorise(FILE_URL, ADA, FileRecord("0" * 64, NOON))
    empty.files.deny(FILE_URL, ADA)
    empty.contacts.note("x", ADA, NOON)
    empty.contacts.forget(ADA)
    assert empty.pages.read(PageKey("x", ADA)) is None
    empty.pages.remove(PageKey("x", ADA))
    empty.pages.renew(PageKey("x", ADA), NOON, {})
    assert not empty.folder.exists()


def test_a_record_needs_a_file(desk: Desk) -> None:
    desk.files.authorise(FILE_URL, ADA, FileRecord("0" * 64, NOON))
    assert desk.files.record(FILE_URL, ADA) is None


def test_a_damaged_record_is_none(desk: Desk) -> None:
    desk.put(b"wheel", FILE_URL)
    desk.cache.database.change("UPDATE grants SET headers = 'x'")
    assert desk.files.record(FILE_URL, ADA) is None


def test_a_file_without_an_entry_is_taken_in(desk: Desk) -> None:
    """As after the index was damaged: the files themselves are good."""
    cached = desk.put(b"wheel")
    desk.cache.database.change("DELETE FROM entries")
    assert desk.another().files.find(cached.sha256) == cached
    assert desk.total() == 5


def test_taking_a_file_in_keeps_the_limit(folder: Path) -> None:
    big = Desk(folder, size=PLENTY)
    cached = [big.put(letter * 1000) for letter in (b"a", b"b")]
    big.cache.database.change("DELETE FROM entries")
    small = Desk(folder, size=1500)
    for file in cached:
        small.clock.time += 1
        assert small.files.find(file.sha256)
    assert small.total() == 1000
    big.close()
    small.close()
