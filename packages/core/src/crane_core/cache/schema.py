"""The cache's database as a file: how it is opened, made, and begun anew when damaged.

`entries` is what takes space: a page or a file, its size, and when it was last used. `grants` says
who was given which file, `contacts` when an index last let whom in. A format that an older crane
could not read gets another file name, so that two versions can run side by side.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING

from crane_core.errors import StorageBusy
from crane_core.files import PRIVATE_FILE, private_folder, require_private, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    FileId = tuple[int, int]

READY = 1  # user_version, written when all tables are there
BUSY_SECONDS = 2.0
_LOCK_SECONDS = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    name TEXT NOT NULL PRIMARY KEY, size INTEGER NOT NULL, used_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_by_use ON entries (used_at, size);
CREATE TABLE IF NOT EXISTS pages (
    name TEXT NOT NULL PRIMARY KEY, url TEXT NOT NULL, identity TEXT NOT NULL,
    final_url TEXT NOT NULL, headers TEXT NOT NULL, stored_at REAL NOT NULL,
    packed INTEGER NOT NULL, checksum INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bodies (name TEXT NOT NULL PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS grants (
    url TEXT NOT NULL, identity TEXT NOT NULL, sha256 TEXT NOT NULL,
    authorised_at REAL NOT NULL, headers TEXT NOT NULL, PRIMARY KEY (url, identity)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS grants_by_file ON grants (sha256);
CREATE TABLE IF NOT EXISTS contacts (
    index_url TEXT NOT NULL, identity TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (index_url, identity)
) WITHOUT ROWID;
"""


class NotOurs(sqlite3.DatabaseError):
    """A database of somebody else under our name."""


def file_id(path: Path) -> FileId | None:
    """Return what tells a file from another of the same name, None if none can be reached."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def open_database(path: Path) -> tuple[sqlite3.Connection, FileId | None]:
    """Return a connection to the cache's database, made if need be, and which file it is.

    Raises `sqlite3.Error` or a `StorageError`.
    """
    private_folder(path.parent)
    with storage_errors(path), contextlib.suppress(FileExistsError):
        # Only a new file is opened here: to close one that SQLite has open drops SQLite's locks
        # (sqlite.org/howtocorrupt.html §2.2). Its -wal and -shm inherit the mode.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE))
    require_private(path)
    opened = file_id(path)
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        _make_ready(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection, opened


def _make_ready(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection) != READY:
        # One at a time: SQLite does not wait for its turn to change the journal mode.
        with _setting_up(path):
            if _version(connection) not in {0, READY}:
                raise NotOurs("not a database of this crane")
            # What is removed can be given back to the disk; only a new database can have that.
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            # Many processes read while one writes, and a kill -9 leaves a readable file.
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(_SCHEMA)
            connection.execute(f"PRAGMA user_version={READY}")
    # With WAL a power cut may lose the last changes, and never mixes old and new.
    connection.execute("PRAGMA synchronous=NORMAL")
    # What is deleted is overwritten where the page is written anyway; `settle` cuts off the rest.
    connection.execute("PRAGMA secure_delete=FAST").fetchall()


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def move_away(path: Path, damaged: FileId | None) -> None:
    """Put a damaged database aside, unless another process has done so before."""
    with _setting_up(path), storage_errors(path):
        if damaged is None or file_id(path) != damaged:
            return
        # The log first: a new database of this name must never take it for its own.
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.replace(damaged_name(path))


def damaged_name(path: Path) -> Path:
    """Return where a damaged database is put; there is one at most."""
    return path.with_name(path.name + ".damaged")


@contextlib.contextmanager
def _setting_up(path: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name("cache.lock"), mode=PRIVATE_FILE, timeout=_LOCK_SECONDS)
    with storage_errors(path):
        try:
            lock.acquire()
        except Timeout:
            raise StorageBusy("another crane process is setting up the cache") from None
    try:
        yield
    finally:
        lock.release()
