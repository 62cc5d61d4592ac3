"""`crane cache`: where it is, what it holds, and how to clear it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cache.kit import ADA, BOB, INDEX, OTHER, PLENTY, Desk, StillClock, sha256
from support.world import User

from crane_core.cache.model import PUBLIC, FileRecord, PageKey
from crane_core.clock import SystemClock
from crane_core.config.store import ConfigStore

DAY = 86_400.0
PYPI = "https://files.pythonhosted.org/six-1.0.whl"
OURS, THEIRS = f"{INDEX.url}/acme/acme-1.0.whl", "https://other.example.com/x/x-1.0.whl"


@pytest.fixture
def person(user: User) -> User:
    """Give a user with two indexes, of which nothing was fetched yet."""
    for index in (INDEX, OTHER):
        ConfigStore(user.config_file).save(index)
    return user


@pytest.fixture
def full(person: User) -> Desk:
    """Give the user's cache with something of each index, and of everybody's."""
    desk = Desk(folder_of(person), PLENTY, StillClock(SystemClock().now()))
    desk.put(b"o" * 1000, OURS)
    desk.put(b"t" * 2000, THEIRS)
    desk.put(b"p" * 3000, PYPI, PUBLIC)
    desk.put(b"shared", OURS + "2")
    desk.files.authorise(PYPI + "2", PUBLIC, FileRecord(sha256(b"shared"), 1.0))
    desk.put_page(f"{INDEX.url}/simple/acme/", ADA)
    desk.put_page(f"{INDEX.url}/simple/acme/", BOB)
    desk.put_page(f"metadata:{OURS}", ADA)
    desk.put_page("https://pypi.org/simple/six/", PUBLIC)
    for index in (INDEX, OTHER):
        desk.contacts.note(index.token_prefix, ADA, desk.clock.now())
    return desk


def folder_of(user: User) -> Path:
    return user.home / ".cache" / "crane"


def said(user: User, *arguments: str, **extra: str) -> Any:
    """Return what `crane cache … --json` says."""
    done = user.crane("cache", *arguments, "--json", check=True, **extra)
    envelope = json.loads(done.stdout)
    assert envelope["command"] == f"cache {arguments[0]}"
    return envelope["data"]


def test_dir(person: User) -> None:
    assert person.crane("cache", "dir", check=True).stdout == f"{folder_of(person)}\n"
    assert said(person, "dir") == {"folder": str(folder_of(person))}
    home = str(person.home / "elsewhere")
    moved = person.crane("cache", "dir", check=True, CRANE_HOME=home).stdout
    assert moved == f"{home}/cache\n"


def test_without_a_cache_none_is_made(person: User) -> None:
    info = said(person, "info")
    assert (info["files"], info["pages"], info["shares"]) == (0, 0, [])
    assert said(person, "purge") == {"files": 0, "pages": 0, "size": 0}
    assert not folder_of(person).exists()


def test_info(person: User, full: Desk) -> None:
    """A file that came from two places is in both shares, and once in the sum."""
    info = said(person, "info")
    assert info["folder"] == str(full.folder)
    assert info["limit"] == 10 * 10**9
    assert (info["files"], info["file_bytes"], info["pages"]) == (4, 6006, 4)
    assert info["file_bytes"] + info["page_bytes"] == full.total()
    shares = {share["index"]: (share["files"], share["pages"]) for share in info["shares"]}
    assert shares == {
        "python": (2, 3),
        "other": (1, 0),
        "files.pythonhosted.org": (2, 0),
        "pypi.org": (0, 1),
    }
    text = person.crane("cache", "info", check=True).stdout
    assert f"folder  {full.folder}\n" in text
    assert "files   4, 6.0 kB\n" in text
    assert "2 files and 3 pages" in text


def test_info_tells_the_limit_and_that_the_cache_is_off(person: User, full: Desk) -> None:
    assert "of 5.0 GB" in person.crane("cache", "info", CRANE_CACHE_SIZE="5GB").stdout
    assert "the cache is off" in person.crane("cache", "info", CRANE_CACHE_SIZE="0").stdout
    wrong = person.crane("cache", "info", CRANE_CACHE_SIZE="much")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("crane: CRANE_CACHE_SIZE: 'much' is no size")
    assert len(full.entries()) == 8


def test_info_counts_what_is_really_there(person: User, full: Desk) -> None:
    (missing,) = (full.folder / "files").glob(f"??/{sha256(b'p' * 3000)}")
    missing.unlink()
    full.cache.database.change("UPDATE entries SET used_at = used_at - 100")
    full.cache.database.change("DELETE FROM entries WHERE name = ?", f"file:{sha256(b't' * 2000)}")
    info = said(person, "info")
    assert (info["files"], info["file_bytes"]) == (3, 3006)


def test_info_leaves_a_file_alone_that_is_on_its_way(full: Desk, person: User) -> None:
    """It has an entry before it is there."""
    full.cache.database.change(
        "INSERT INTO entries VALUES (?, 10, ?)", "file:" + "0" * 64, full.clock.now()
    )
    said(person, "info")
    assert "file:" + "0" * 64 in full.entries()


def test_purge(person: User, full: Desk) -> None:
    total = full.total()
    spool = full.files.spool(10)
    assert spool is not None
    dead = full.folder / "spool" / "dead.part"
    dead.write_bytes(b"x" * 50)
    (full.folder / "cache.sqlite3.damaged").write_bytes(b"old")
    (full.folder / "python").mkdir()  # crane-pip's

    done = person.crane("cache", "purge", check=True)

    assert done.stdout == f"removed 4 files and 4 pages, {(total + 50) / 1000:.1f} kB\n"
    assert full.entries() == set()
    assert full.on_disk() == set()
    assert full.cache.database.rows("SELECT * FROM grants") == []
    assert full.cache.database.rows("SELECT * FROM contacts") == []
    assert not (full.folder / "cache.sqlite3.damaged").exists()
    assert (full.folder / "python").exists()
    assert full.spools() == [spool.path], "that of a gateway that runs"
    spool.write(b"after")
    assert spool.commit(sha256(b"after")).path.exists()
    assert full.notices == []


@pytest.mark.parametrize("name", ["python", INDEX.url + "/simple/"])
def test_purge_of_one_index(person: User, full: Desk, name: str) -> None:
    """What another has given, too, stays for that one, and only for that one."""
    assert said(person, "purge", "--index", name)["files"] == 1
    assert full.on_disk() == {sha256(c) for c in (b"t" * 2000, b"p" * 3000, b"shared")}
    assert full.files.record(OURS, ADA) is None
    assert full.files.record(OURS + "2", ADA) is None
    assert full.files.record(PYPI + "2", PUBLIC) is not None
    assert full.files.record(THEIRS, ADA) is not None
    assert full.pages.read(PageKey(f"{INDEX.url}/simple/acme/", BOB)) is None
    assert full.pages.read(PageKey("https://pypi.org/simple/six/", PUBLIC)) is not None
    assert full.contacts.last(INDEX.token_prefix, ADA) is None
    assert full.contacts.last(OTHER.token_prefix, ADA) is not None


def test_purge_of_an_unknown_index(person: User, full: Desk) -> None:
    assert person.crane("cache", "purge", "--index", "nothing").returncode == 5
    assert len(full.entries()) == 8


def test_purge_of_what_is_old(person: User, full: Desk) -> None:
    full.cache.database.change("UPDATE entries SET used_at = used_at - ?", 31 * DAY)
    full.cache.database.change("UPDATE contacts SET at = at - ?", 31 * DAY)
    assert full.files.find(sha256(b"o" * 1000)) is not None
    full.contacts.note("https://new.example.com", ADA, full.clock.now())
    assert said(person, "purge", "--older", "32d")["files"] == 0
    assert said(person, "purge", "--older", "30d")["files"] == 3
    assert full.on_disk() == {sha256(b"o" * 1000)}
    assert full.files.record(OURS, ADA) is not None
    assert full.contacts.last(INDEX.token_prefix, ADA) is None
    assert full.contacts.last("https://new.example.com", ADA) is not None


def test_purge_of_what_is_old_of_one_index(person: User, full: Desk) -> None:
    """A record of a young file stays."""
    full.cache.database.change("UPDATE entries SET used_at = used_at - ?", 31 * DAY)
    full.files.find(sha256(b"o" * 1000))
    purged = said(person, "purge", "--older", "30d", "--index", "python")
    assert (purged["files"], purged["pages"]) == (0, 3)
    assert full.files.record(OURS, ADA) is not None
    assert len(full.on_disk()) == 4


def test_purge_gives_the_space_back(person: User, full: Desk) -> None:
    for n in range(50):
        full.put_page(f"https://pypi.org/simple/{n}/", PUBLIC, os.urandom(100_000))
    assert size_of(full.folder) > 5_000_000
    said(person, "purge")
    assert size_of(full.folder) < 200_000


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("cache.sqlite3*"))


@pytest.mark.parametrize("age", ["soon", "30y", ""])
def test_purge_of_an_odd_age(person: User, full: Desk, age: str) -> None:
    done = person.crane("cache", "purge", "--older", age)
    assert done.returncode == 2
    assert done.stderr.startswith("crane: --older:")
    assert len(full.entries()) == 8


def test_a_damaged_cache_is_cleared(person: User, full: Desk) -> None:
    """The files are found without their index."""
    full.close()
    (full.folder / "cache.sqlite3").write_bytes(b"not a database at all" * 1000)
    done = person.crane("cache", "purge", check=True)
    assert done.stdout.startswith("removed 4 files and 0 pages")
    assert "was damaged" in done.stderr
    assert full.on_disk() == set()
    full.close()
    assert not list(full.folder.glob("*.damaged"))


@pytest.mark.parametrize("command", ["cache", "cache dir", "cache info", "cache purge"])
def test_help(person: User, command: str) -> None:
    done = person.crane(*command.split(), "--help", check=True)
    assert done.stdout.startswith(f"usage: crane {command}")
