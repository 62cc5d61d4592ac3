"""A cache that is damaged begins anew, one that cannot be used is none: never an error."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cache.kit import ADA, FILE_URL, INDEX, NOON, URL, Desk, Reply, Wire, sha256

from crane_core.cache import schema
from crane_core.cache.model import FileRecord, PageKey
from crane_core.errors import StorageBusy, StorageError

KEY = PageKey(URL, ADA)


def database(desk: Desk) -> Path:
    return desk.folder / "cache.sqlite3"


def fill(desk: Desk) -> None:
    for n in range(50):
        desk.put_page(f"{URL}{n}", body=b"page" * 500)
    desk.put(b"wheel", FILE_URL)
    desk.contacts.note(INDEX.token_prefix, ADA, NOON)


def overwritten(path: Path) -> None:
    path.write_bytes(b"something else entirely" * 500)


def noise_inside(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


def cut(path: Path) -> None:
    os.truncate(path, 5000)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def of_somebody_else(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version=77")
        other.execute("CREATE TABLE entries (x)")
    other.close()
    path.chmod(0o600)


def without_tables(path: Path) -> None:
    with sqlite3.connect(path) as other:
        for table in ("entries", "pages", "grants", "contacts"):
            other.execute(f"DROP TABLE {table}")
    other.close()


DAMAGE = [without_tables, overwritten, noise_inside, cut, emptied, of_somebody_else]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda d: d.__name__)
@pytest.mark.parametrize("running", [False, True], ids=["at rest", "while open"])
def test_a_damaged_index_begins_anew(
    desk: Desk, damage: Callable[[Path], None], running: bool
) -> None:
    """Nothing is raised, and from the second use at the latest it works; files stay good."""
    fill(desk)
    desk.close()
    view = desk.another()
    if running:
        assert view.pages.read(PageKey(f"{URL}7", ADA)) is not None
    damage(database(desk))

    for _ in range(2):
        for n in range(50):
            view.pages.read(PageKey(f"{URL}{n}", ADA))
        view.files.record(FILE_URL, ADA)
        view.put_page()
    fill(view)

    assert view.pages.read(KEY) is not None
    assert view.files.find(sha256(b"wheel")) is not None
    assert view.files.record(FILE_URL, ADA) is not None
    assert view.contacts.last(INDEX.token_prefix, ADA) == NOON
    assert len(view.notices) <= 1
    assert view.another().cache.database.rows("PRAGMA integrity_check") == [("ok",)]
    view.close()


def test_a_damaged_index_is_put_aside_once_by_all(desk: Desk) -> None:
    """The second process finds a new one in its place, and must not put that aside."""
    fill(desk)
    other = desk.another()
    assert other.pages.read(PageKey(f"{URL}7", ADA))
    desk.cache.database.settle()  # nothing of it is in the log
    desk.close()
    overwritten(database(desk))
    desk.put_page()
    key = desk.put_page(body=b"in the new one")
    assert desk.pages.read(key) is not None

    page = other.pages.read(key)

    assert page is not None
    assert page.body == b"in the new one"
    assert b"something else" in schema.damaged_name(database(desk)).read_bytes()
    other.close()


def test_what_was_put_in_the_place_of_a_damaged_index_is_left_alone(desk: Desk) -> None:
    """Between the damage and the lock another process may have begun anew."""
    key = desk.put_page()
    schema.move_away(database(desk), (1, 2))
    schema.move_away(database(desk), None)
    assert desk.pages.read(key) is not None
    assert not schema.damaged_name(database(desk)).exists()


def test_even_the_first_file_is_taken_by_the_new_index(desk: Desk) -> None:
    """It was downloaded for it, and is not downloaded twice."""
    fill(desk)
    desk.cache.database.settle()
    desk.close()
    overwritten(database(desk))
    view = desk.another()
    cached = view.put(b"another wheel", FILE_URL)
    assert view.files.find(cached.sha256) == cached
    assert view.files.record(FILE_URL, ADA) is not None
    view.close()


def test_a_file_given_by_a_damaged_index_is_taken_in_again(desk: Desk) -> None:
    cached = desk.put(b"wheel", FILE_URL)
    desk.close()
    overwritten(database(desk))
    view = desk.another()
    assert view.files.record(FILE_URL, ADA) is None, "who was given it is forgotten"
    assert view.files.find(cached.sha256) == cached
    assert view.total() == 5
    view.close()


def test_the_folder_may_be_removed_at_any_time(desk: Desk) -> None:
    """As people do with caches."""
    fill(desk)
    shutil.rmtree(desk.folder)
    assert desk.pages.read(KEY) is None
    assert desk.files.find(sha256(b"wheel")) is None
    fill(desk)
    assert desk.files.find(sha256(b"wheel"))
    assert desk.contacts.last(INDEX.token_prefix, ADA) == NOON
    assert desk.notices == []


def test_a_spool_whose_folder_was_removed_is_no_cached_file(desk: Desk) -> None:
    spool = desk.files.spool(None)
    assert spool is not None
    spool.write(b"wheel")
    with spool.reader() as reader:
        shutil.rmtree(desk.folder)
        with pytest.raises(StorageError):
            spool.commit(sha256(b"wheel"))
        assert reader.read() == b"wheel"
    spool.discard()
    assert desk.files.find(sha256(b"wheel")) is None


def use_everything(desk: Desk) -> None:
    """Do all that a gateway does; nothing may be raised."""
    wire = Wire(desk, Reply({"cache-control": "max-age=60"}), Reply())
    assert wire.get().status == 200
    assert wire.get().status == 200
    assert desk.files.find("0" * 64) is None
    assert desk.files.spool(5) is None
    assert desk.files.record(FILE_URL, ADA) is None
    desk.files.authorise(FILE_URL, ADA, FileRecord("0" * 64, NOON))
    desk.files.deny(FILE_URL, ADA)
    desk.contacts.drop(INDEX.token_prefix, ADA)
    assert desk.contacts.last(INDEX.token_prefix, ADA) is None


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    desk = Desk(tmp_path / "file" / "crane")
    use_everything(desk)
    (notice,) = desk.notices
    assert "going on without the cache" in notice


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="changes owners")
def test_a_folder_of_another_user_is_not_used(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.chown(folder, 12345, 12345)
    desk = Desk(folder)
    use_everything(desk)
    (notice,) = desk.notices
    assert "another user" in notice
    assert list(folder.iterdir()) == []


def test_a_database_that_others_may_read_is_not_used(desk: Desk) -> None:
    fill(desk)
    desk.close()
    database(desk).chmod(0o644)
    view = desk.another()
    assert view.pages.read(PageKey(f"{URL}7", ADA)) is None
    assert "can be read by other users" in view.notices[0]


def test_a_folder_that_others_may_enter_is_closed(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o755)
    desk = Desk(folder)
    desk.put(b"wheel")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    desk.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait long for a lock."""
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.02)
    monkeypatch.setattr(schema, "_LOCK_SECONDS", 0.02)


@pytest.mark.usefixtures("impatient")
def test_a_busy_cache_is_read_and_not_written(desk: Desk) -> None:
    """A writer that hangs costs no answer, and no notice: it is as if the cache were full."""
    key = desk.put_page(body=b"old")
    digest = desk.put(b"wheel", FILE_URL).sha256
    view = desk.another()
    with desk.cache.database.transaction():
        page = view.pages.read(key)
        assert page is not None
        assert page.body == b"old"
        view.put_page(body=b"new")
        assert view.files.find(digest) is not None
        assert view.files.record(FILE_URL, ADA) is not None
        spool = view.files.spool(5)
        assert spool is not None
        spool.write(b"other")
        with pytest.raises(StorageBusy):
            spool.commit(sha256(b"other"))
        with spool.reader() as reader:
            assert reader.read() == b"other"
        spool.discard()
    page = view.pages.read(key)
    assert page is not None
    assert page.body == b"old"
    assert view.notices == []
    assert view.spools() == []


@pytest.mark.usefixtures("impatient")
def test_what_is_denied_while_the_cache_is_busy_is_denied(desk: Desk) -> None:
    desk.put(b"wheel", FILE_URL)
    view = desk.another()
    with desk.cache.database.transaction():
        view.files.deny(FILE_URL, ADA)
    assert view.files.record(FILE_URL, ADA) is None
    view.files.authorise(FILE_URL, ADA, FileRecord(sha256(b"wheel"), NOON))
    assert view.files.record(FILE_URL, ADA) is not None


@pytest.mark.usefixtures("impatient")
def test_a_logout_while_the_cache_is_busy_is_said(desk: Desk) -> None:
    """What must not be lost in silence is not."""
    desk.put_page()
    view = desk.another()
    with desk.cache.database.transaction(), pytest.raises(StorageBusy):
        view.contacts.forget(ADA)


@pytest.mark.usefixtures("impatient")
def test_a_cache_that_another_process_is_setting_up(folder: Path) -> None:
    """It is not waited for long."""
    from filelock import FileLock

    folder.mkdir(parents=True, mode=0o700)
    with FileLock(folder / "cache.lock"):
        desk = Desk(folder)
        desk.put_page()
    assert desk.pages.read(KEY) is None
    desk.put_page()
    assert desk.pages.read(KEY) is not None
    desk.close()


def test_what_fails_within_a_transaction_is_not_done(desk: Desk) -> None:
    desk.put_page()

    def fail() -> None:
        with desk.cache.database.transaction() as connection:
            connection.execute("DELETE FROM pages")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert desk.pages.read(KEY) is not None
    assert desk.pages.read(desk.put_page(URL + "2")) is not None
