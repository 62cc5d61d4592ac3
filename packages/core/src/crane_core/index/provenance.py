"""What was seen before: which index served a project, and what its files hashed to."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

from crane_core.batches import Batches
from crane_core.errors import DiskFull, NotWritable
from crane_core.files import PRIVATE_FILE, private_folder, require_private, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

BUSY_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS projects (
    index_url TEXT NOT NULL, project TEXT NOT NULL, PRIMARY KEY (index_url, project)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    url TEXT NOT NULL PRIMARY KEY, index_url TEXT NOT NULL, project TEXT NOT NULL,
    sha256 TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS publications (
    number INTEGER PRIMARY KEY AUTOINCREMENT, index_url TEXT NOT NULL, project TEXT NOT NULL,
    url TEXT NOT NULL
);
"""
# Each is news for a moment, to processes that are running then.
MOST_PUBLICATIONS = 1000
_SERVED = "SELECT 1 FROM projects WHERE index_url = ? AND project = ?"
_HASHES = "SELECT url, sha256 FROM files WHERE url IN (SELECT value FROM json_each(?))"
_RECORD_PROJECT = "INSERT OR IGNORE INTO projects VALUES (?, ?)"
_RECORD_FILE = "INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?)"
_REPLACE_FILE = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)"
_FILES = "SELECT url FROM files WHERE index_url = ? AND project = ?"
_RECORD_PUBLICATION = "INSERT INTO publications (index_url, project, url) VALUES (?, ?, ?)"
_FORGET_PUBLICATIONS = (
    "DELETE FROM publications WHERE number <= (SELECT max(number) FROM publications) - ?"
)
_LAST_PUBLICATION = "SELECT coalesce(max(number), 0) FROM publications"
_PUBLICATIONS = (
    "SELECT number, index_url, project, url FROM publications WHERE number > ? ORDER BY number"
)
_HAS_PROJECTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'projects'"
_RELEASE_FILES = "DELETE FROM files WHERE index_url = ? AND project = ? RETURNING 1"
_RELEASE_PROJECT = "DELETE FROM projects WHERE index_url = ? AND project = ? RETURNING 1"


class Publication(NamedTuple):
    """A file that was put at an index; where the URL is not known, it is empty."""

    number: int
    index_url: str
    project: str
    url: str


class Provenance(Protocol):
    """Memory of what an index has served; it outlives the process."""

    def served(self, index_url: str, project: str) -> bool:
        """Whether this index has ever served that project."""
        ...

    def record_project(self, index_url: str, project: str) -> Future[None]:
        """Remember that it has; the future ends once that is on the disk."""
        ...

    def sha256(self, url: str) -> str | None:
        """What the file at this URL hashed to."""
        ...

    def sha256_of(self, urls: Iterable[str]) -> dict[str, str]:
        """What the files at these URLs hashed to, where known."""
        ...

    def record_file(self, url: str, sha256: str, *, index_url: str, project: str) -> None:
        """Remember a file's hash; the first one stays."""
        ...

    def record_published(self, hashes: Mapping[str, str], *, index_url: str, project: str) -> None:
        """Remember that this user has put files there, with their hashes by URL.

        Those count, whatever the files were before, and other processes get to know.
        """
        ...

    def last_publication(self) -> int:
        """Return the number of the last one that was remembered."""
        ...

    def published_since(self, number: int) -> list[Publication]:
        """Return what was put there since, by whatever process."""
        ...

    def files_of(self, index_url: str, project: str) -> list[str]:
        """Return the URLs of a project's files whose hashes are known."""
        ...

    def release(self, index_url: str, project: str) -> bool:
        """Forget a project and its files. Returns whether anything was known."""
        ...


class SqliteProvenance:
    """Provenance in one SQLite file, shared by all processes of a user.

    Raises `NotWritable` or `DiskFull`: a gateway that cannot remember must not fall back.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        private_folder(path.parent)
        with _errors(self._path):
            path.touch(mode=PRIVATE_FILE)
            # Who can change it decides which names may come from a public index.
            require_private(path)
            self._writing = _Connection(path)
            # Many processes read while one writes, and a kill -9 leaves a readable file.
            self._writing.database.execute("PRAGMA journal_mode=WAL")
            self._writing.database.executescript(_SCHEMA)
            self._reading = _Connection(path)
            # One for the event loop, which is not to wait for what threads read.
            self._quick = _Connection(path)
        self._changes: Batches[tuple[str, tuple[str | int, ...]]] = Batches(self._change)

    def close(self) -> None:
        """Release the file."""
        self._changes.close()
        for connection in (self._quick, self._reading, self._writing):
            connection.database.close()

    def served(self, index_url: str, project: str) -> bool:
        """Whether this index has ever served that project; asked of the disk, in microseconds."""
        return bool(self._rows(self._quick, _SERVED, index_url, project))

    def record_project(self, index_url: str, project: str) -> Future[None]:
        """Remember that it has; the future ends once that is on the disk."""
        return self._changes.do((_RECORD_PROJECT, (index_url, project)))

    def sha256(self, url: str) -> str | None:
        """What the file at this URL hashed to."""
        rows = self._rows(self._reading, "SELECT sha256 FROM files WHERE url = ?", url)
        return rows[0][0] if rows else None

    def sha256_of(self, urls: Iterable[str]) -> dict[str, str]:
        """What the files at these URLs hashed to, where known."""
        if not (wanted := list(urls)):
            return {}
        rows = self._rows(self._reading, _HASHES, json.dumps(wanted))
        return {row[0]: row[1] for row in rows}

    def record_file(self, url: str, sha256: str, *, index_url: str, project: str) -> None:
        """Remember a file's hash; the first one stays. For a thread."""
        self._changes.do((_RECORD_FILE, (url, index_url, project, sha256))).result()

    def record_published(self, hashes: Mapping[str, str], *, index_url: str, project: str) -> None:
        """Remember files that this user has put there, and tell other processes. For a thread."""
        changes: list[tuple[str, tuple[str | int, ...]]] = [
            *((_REPLACE_FILE, (url, index_url, project, h)) for url, h in hashes.items()),
            *((_RECORD_PUBLICATION, (index_url, project, url)) for url in hashes or [""]),
            (_FORGET_PUBLICATIONS, (MOST_PUBLICATIONS,)),
        ]
        # All are handed in before one is waited for: they share the disk's transactions.
        for done in [self._changes.do(change) for change in changes]:
            done.result()

    def last_publication(self) -> int:
        """Return the number of the last one that was remembered."""
        return int(self._rows(self._quick, _LAST_PUBLICATION)[0][0])

    def published_since(self, number: int) -> list[Publication]:
        """Return what was put there since; asked of the disk, in microseconds."""
        found = self._rows(self._quick, _PUBLICATIONS, number)
        return [Publication(int(n), index, project, url) for n, index, project, url in found]

    def files_of(self, index_url: str, project: str) -> list[str]:
        """Return the URLs of a project's files whose hashes are known."""
        return [row[0] for row in self._rows(self._reading, _FILES, index_url, project)]

    def release(self, index_url: str, project: str) -> bool:
        """Forget a project and its files. Returns whether anything was known."""
        return bool(
            self._rows(self._writing, _RELEASE_FILES, index_url, project)
            + self._rows(self._writing, _RELEASE_PROJECT, index_url, project)
        )

    def _rows(self, on: _Connection, statement: str, *values: str | int) -> list[tuple[str, ...]]:
        try:
            with on.lock:
                return on.database.execute(statement, values).fetchall()
        except (sqlite3.Error, OSError):
            # Only now: each page asks, and to enter the block takes as long as the answer.
            with _errors(self._path):
                raise

    def _change(self, changes: Sequence[tuple[str, tuple[str | int, ...]]]) -> None:
        """Make changes in one transaction, so that many wait for the disk once."""
        with _errors(self._path), self._writing.lock:
            database = self._writing.database
            database.execute("BEGIN IMMEDIATE")
            try:
                for statement, values in changes:
                    database.execute(statement, values)
                database.execute("COMMIT")
            finally:
                if database.in_transaction:
                    database.rollback()


class _Connection:
    """A connection that threads use one at a time."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.Lock()
        self.database = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )


def has_served(path: Path, index_url: str, project: str) -> bool:
    """Whether the index has ever served that project, by a look that creates nothing.

    A file that is not there has nothing in it. Raises `NotWritable` for one that is damaged.
    """
    with _errors(path):
        if not path.exists():
            return False
        # SQLite would make two files beside one that nobody has open, and leave them there.
        is_open = path.with_name(f"{path.name}-wal").exists()
        uri = f"{path.absolute().as_uri()}?mode=ro{'' if is_open else '&immutable=1'}"
        database = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)
        with contextlib.closing(database):
            # A process that was killed at its first step leaves a file without tables.
            if not database.execute(_HAS_PROJECTS).fetchone():
                return False
            return database.execute(_SERVED, (index_url, project)).fetchone() is not None


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        with storage_errors(path):
            yield
    except sqlite3.Error as error:
        if "full" in str(error):
            raise DiskFull(
                f"no space left to write {path}", hint="free some space, then run the command again"
            ) from error
        raise NotWritable(
            f"cannot use {path}: {error}",
            hint="make it writable for you, or move it away to start a new one",
        ) from error
