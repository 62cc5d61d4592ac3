"""The cache's database in use: many processes, and never an error to the tool."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crane_core.batches import Batches
from crane_core.cache.schema import NotOurs, file_id, move_away, open_database
from crane_core.errors import DiskFull, NotWritable, StorageBusy, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from crane_core.cache.schema import FileId

# Seconds for which a change waits for others: a resolver brings a hundred pages in one second.
LINGER = 0.1
# Primary result codes (sqlite.org/rescode.html): the low byte.
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be changed in the database, within a transaction.

    Of the changes of one transaction, one `afterwards` is called, since any would do; and each
    `tried`, whether the transaction was done or not.
    """

    make: Callable[[sqlite3.Connection], object]
    afterwards: Callable[[], None] | None = None
    tried: Callable[[], None] = lambda: None


class CacheDatabase:
    """One SQLite file, shared by all processes of a user.

    A damaged one is put aside and begun anew. Where it cannot be used at all, reading finds
    nothing, and the user is told once. Reading never waits for a writer.
    """

    def __init__(self, path: Path, notice: Callable[[str], None]) -> None:
        self.path = path
        self._notice = notice
        self._told = False
        self._reading = _Connection(path)
        self._writing = _Connection(path)
        self._changes = Batches(self._make, linger=LINGER)

    def open(self) -> None:
        """Make the file ready, which may wait for another process that does; for a thread."""
        for connection in (self._writing, self._reading):
            with contextlib.suppress(StorageError), connection.lock, self._explained(connection):
                connection.get()

    def close(self) -> None:
        """Make the changes that are left and release the file; what comes later opens it again."""
        self._changes.close()
        for connection in (self._reading, self._writing):
            with connection.lock:
                connection.close()

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what a SELECT finds; nothing where the database cannot be read."""
        try:
            with self._reading.lock:
                try:
                    return self._reading.get().execute(statement, values).fetchall()
                except (sqlite3.Error, StorageError):
                    with self._explained(self._reading):
                        raise
        except StorageError:
            return []

    def change(self, statement: str, *values: object) -> bool:
        """Run one statement that may be lost. Returns whether it was done."""
        try:
            with self.transaction() as connection:
                connection.execute(statement, values)
        except StorageError:
            return False
        return True

    def later(self, change: Change) -> None:
        """Have something changed soon, together with other such changes; it may be lost."""
        self._changes.put(change)

    def flush(self) -> None:
        """Wait for the changes that were to be made later."""
        self._changes.flush()

    def _make(self, changes: Sequence[Change]) -> None:
        with contextlib.suppress(StorageError):
            with self.transaction() as connection:
                for change in changes:
                    change.make(connection)
            for afterwards in [c.afterwards for c in changes if c.afterwards][-1:]:
                afterwards()
        for change in changes:
            change.tried()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection: what the block does is done whole or not at all.

        No other process writes meanwhile. Raises `StorageBusy`, `DiskFull` or another
        `StorageError`.
        """
        with self._writing.lock, self._explained(self._writing):
            connection = self._begin()
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.rollback()

    def _begin(self) -> sqlite3.Connection:
        """Begin a transaction; if the file is damaged, in the new one."""
        try:
            connection = self._writing.get()
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if not _is_damage(error):
                raise
            self._begin_anew(self._writing)
            connection = self._writing.get()
            connection.execute("BEGIN IMMEDIATE")
        return connection

    def settle(self) -> None:
        """Give free space back to the disk, and make what was done survive a power cut.

        Raises a `StorageError`.
        """
        with self._writing.lock, self._explained(self._writing):
            connection = self._writing.get()
            # As a script: `execute` would stop after the first page.
            connection.executescript("PRAGMA incremental_vacuum")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def tell(self, reason: str) -> None:
        """Tell the user, once, that something is wrong with the cache."""
        if not self._told:
            self._told = True
            self._notice(reason)

    @contextlib.contextmanager
    def _explained(self, connection: _Connection) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if _is_damage(error):
                self._begin_anew(connection)
            explained = self._as_ours(error)
            if not isinstance(explained, StorageBusy):
                self.tell(f"{explained.message}; going on without the cache")
            raise explained from error
        except StorageError as error:
            self.tell(f"{error.message}; going on without the cache")
            raise

    def _begin_anew(self, connection: _Connection) -> None:
        self.tell(f"the cache's index {self.path} was damaged; it begins anew")
        connection.close()
        move_away(self.path, connection.file)

    def _as_ours(self, error: sqlite3.Error) -> StorageError:
        code = _code(error)
        if code in _BUSY:
            return StorageBusy("another crane process keeps the cache busy", hint="try again")
        if code == sqlite3.SQLITE_FULL:
            return DiskFull(
                f"no space left to write {self.path}",
                hint="free some space, then run the command again",
            )
        return NotWritable(
            f"cannot use {self.path}: {error}", hint="make it writable for you, or remove it"
        )


class _Connection:
    """A connection that is opened when needed, and anew when its file is not there any more.

    Somebody may remove the whole folder while we run, or another process put a damaged file
    aside.
    """

    def __init__(self, path: Path) -> None:
        self.lock = threading.Lock()
        self.file: FileId | None = None
        self._path = path
        self._open: sqlite3.Connection | None = None

    def get(self) -> sqlite3.Connection:
        """Return the connection. Raises `sqlite3.Error` or a `StorageError`."""
        if self._open is None or file_id(self._path) != self.file:
            self.close()
            self.file = file_id(self._path)
            self._open, self.file = open_database(self._path)
        return self._open

    def close(self) -> None:
        """Close it, if it is open."""
        if self._open is not None:
            self._open.close()
            self._open = None


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _is_damage(error: sqlite3.Error) -> bool:
    if isinstance(error, NotOurs) or _code(error) in _DAMAGED:
        return True
    # A table that was there when the file was opened is gone: it was cut or overwritten.
    return "no such table" in str(error)
