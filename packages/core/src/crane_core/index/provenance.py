"""What was seen before: which index served a project, and what its files hashed to."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING, Protocol

from crane_core.errors import DiskFull, NotWritable
from crane_core.files import PRIVATE_FILE, private_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
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
"""
_SERVED = "SELECT 1 FROM projects WHERE index_url = ? AND project = ?"
_HAS_PROJECTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'projects'"
_RELEASE_FILES = "DELETE FROM files WHERE index_url = ? AND project = ? RETURNING 1"
_RELEASE_PROJECT = "DELETE FROM projects WHERE index_url = ? AND project = ? RETURNING 1"


class Provenance(Protocol):
    """Memory of what an index has served; it outlives the process."""

    def served(self, index_url: str, project: str) -> bool:
        """Whether this index has ever served that project."""
        ...

    def is_recorded(self, index_url: str, project: str) -> bool:
        """Whether this process knows, without a look at the disk, that it is remembered."""
        ...

    def record_project(self, index_url: str, project: str) -> None:
        """Remember that it has."""
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

    def release(self, index_url: str, project: str) -> bool:
        """Forget a project and its files. Returns whether anything was known."""
        ...


class SqliteProvenance:
    """Provenance in one SQLite file, shared by all processes of a user.

    Raises `NotWritable` or `DiskFull`: a gateway that cannot remember must not fall back.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._recorded: set[tuple[str, str]] = set()
        self._version = 0
        private_folder(path.parent)
        with _errors(self._path):
            path.touch(mode=PRIVATE_FILE)
            self._database = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            # Many processes read while one writes, and a kill -9 leaves a readable file.
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    def served(self, index_url: str, project: str) -> bool:
        """Whether this index has ever served that project."""
        return bool(self._rows(_SERVED, index_url, project))

    def is_recorded(self, index_url: str, project: str) -> bool:
        """Whether this process knows, without a look at the disk, that it is remembered."""
        if not self._lock.acquire(blocking=False):
            return False  # another thread is at it, and may wait for another process
        try:
            # Changes when another process writes: it may have released the project.
            ((version,),) = self._database.execute("PRAGMA data_version").fetchall()
            if version != self._version:
                self._recorded.clear()
                self._version = version
        except sqlite3.Error:
            return False
        else:
            return (index_url, project) in self._recorded
        finally:
            self._lock.release()

    def record_project(self, index_url: str, project: str) -> None:
        """Remember that it has."""
        if not self.served(index_url, project):
            self._rows("INSERT OR IGNORE INTO projects VALUES (?, ?)", index_url, project)
        self._recorded.add((index_url, project))

    def sha256(self, url: str) -> str | None:
        """What the file at this URL hashed to."""
        rows = self._rows("SELECT sha256 FROM files WHERE url = ?", url)
        return rows[0][0] if rows else None

    def sha256_of(self, urls: Iterable[str]) -> dict[str, str]:
        """What the files at these URLs hashed to, where known."""
        found = ((url, self.sha256(url)) for url in urls)
        return {url: digest for url, digest in found if digest}

    def record_file(self, url: str, sha256: str, *, index_url: str, project: str) -> None:
        """Remember a file's hash; the first one stays."""
        self._rows(
            "INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?)", url, index_url, project, sha256
        )

    def release(self, index_url: str, project: str) -> bool:
        """Forget a project and its files. Returns whether anything was known."""
        self._recorded.discard((index_url, project))
        return bool(
            self._rows(_RELEASE_FILES, index_url, project)
            + self._rows(_RELEASE_PROJECT, index_url, project)
        )

    def _rows(self, statement: str, *values: str) -> list[tuple[str, ...]]:
        # One connection, used from threads one at a time.
        with _errors(self._path), self._lock:
            return self._database.execute(statement, values).fetchall()


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
        yield
    except (sqlite3.Error, OSError) as error:
        if "full" in str(error):
            raise DiskFull(
                f"no space left to write {path}", hint="free some space, then try again"
            ) from error
        raise NotWritable(
            f"cannot use {path}: {error}",
            hint="make it writable for you, or move it away to start a new one",
        ) from error
