"""Files by what they hash to, and who was given them, on this machine's disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
from typing import TYPE_CHECKING

from crane_core.cache import entries
from crane_core.cache.model import CachedFile, FileRecord
from crane_core.cache.spool import DiskSpool, tidy
from crane_core.errors import NotWritable, StorageError
from crane_core.files import PRIVATE_FOLDER, private_folder, storage_errors
from crane_core.sharing import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from crane_core.cache.database import CacheDatabase
    from crane_core.clock import Clock

    Mark = tuple[int, int, int]

# Bytes; room for a small file is found as fast without it.
WORTH_RESERVING = 1 << 20
_HELD = "SELECT name FROM entries WHERE name IN (SELECT value FROM json_each(?))"
_GRANT = (
    "INSERT INTO grants SELECT ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM entries WHERE name = ?) "
    "ON CONFLICT (url, identity) DO UPDATE SET sha256 = excluded.sha256, "
    "authorised_at = excluded.authorised_at, headers = excluded.headers"
)


class DiskFileStore:
    """Keeps files below `files/`, each under its hash, written once and shared by all tools.

    Every method reads or writes the disk: call them in a thread. `find` may even read a whole
    file, about 0.9 ms a megabyte.
    """

    def __init__(
        self,
        folder: Path,
        database: CacheDatabase,
        clock: Clock,
        limit: int,
        notice: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._database = database
        self._clock = clock
        self._limit = limit
        self._notice = notice
        # What this process has hashed, and how the file looked then.
        self._intact: dict[str, Mark] = {}
        self._denied: set[tuple[str, str]] = set()
        self._tidied = False

    def find(self, sha256: str) -> CachedFile | None:
        """Return a whole and unchanged file, and note its use; None if there is none.

        The hash is computed the first time that this process sees the file, and again when it
        has changed. It may be gone when you open it, since another process made room: that is
        as if it had not been found.
        """
        if not self._limit or not entries.SHA256.fullmatch(sha256):
            return None
        path = entries.file_path(self._folder, sha256)
        try:
            status = path.lstat()
            name = entries.file_entry(sha256)
            rows = self._database.rows("SELECT size, used_at FROM entries WHERE name = ?", name)
            right = stat.S_ISREG(status.st_mode) and (not rows or rows[0][0] == status.st_size)
            if not right or not self._is_intact(path, status, sha256):
                self._drop(sha256)
                return None
        except OSError:
            return None
        if rows:
            entries.note_use(self._database, name, rows[0][1], self._clock.now())
        elif not self._adopt(name, status.st_size):
            return None
        return CachedFile(sha256, path, status.st_size)

    def held(self, sha256s: Iterable[str]) -> set[str]:
        """Return those of which there is a file, as far as is known without a look at it."""
        names = {entries.file_entry(sha256): sha256 for sha256 in sha256s}
        if not self._limit or not names:
            return set()
        return {names[name] for (name,) in self._database.rows(_HELD, json.dumps(list(names)))}

    def spool(self, expected_size: int | None) -> DiskSpool | None:
        """Return a new spool, None where the cache cannot be used or is too small for it.

        A file gets none either where it would not fit on the disk twice: the tool needs room
        for its own copy.
        """
        expected = expected_size or 0
        if not self._limit or expected > self._limit:
            return None
        folder = self._folder / "spool"
        if not self._tidied:
            self._tidied = True
            tidy(folder)
        try:
            private_folder(self._folder)
            reserved = expected if expected >= WORTH_RESERVING else 0
            spool = DiskSpool(folder, self._limit, self._admit, reserved)
            with storage_errors(folder):
                free = shutil.disk_usage(folder).free
        except StorageError as error:
            self._database.tell(f"{error.message}; going on without the cache")
            return None
        if 2 * expected > free:
            spool.discard()
            return None
        return spool

    def record(self, url: str, identity: str) -> FileRecord | None:
        """Return what this identity was given at this URL; None once the file has left."""
        if not self._limit or (url, identity) in self._denied:
            return None
        rows = self._database.rows(
            "SELECT sha256, authorised_at, headers FROM grants WHERE url = ? AND identity = ?",
            url,
            identity,
        )
        with contextlib.suppress(ValueError):
            for sha256, authorised_at, headers in rows:
                return FileRecord(sha256, authorised_at, json.loads(headers))
        return None

    def authorise(self, url: str, identity: str, record: FileRecord) -> None:
        """Remember that it was; without effect for a file that is not in the cache."""
        if self._limit:
            self._denied.discard((url, identity))
            self._database.change(
                _GRANT,
                url,
                identity,
                record.sha256,
                record.authorised_at,
                json.dumps(dict(record.headers)),
                entries.file_entry(record.sha256),
            )

    def deny(self, url: str, identity: str) -> None:
        """Forget it: the index now answers otherwise."""
        statement = "DELETE FROM grants WHERE url = ? AND identity = ?"
        if self._limit and not self._database.change(statement, url, identity):
            # It must not be served again; at least not by us.
            self._denied.add((url, identity))

    def _admit(self, spool: Path, sha256: str, size: int) -> CachedFile:
        if not entries.SHA256.fullmatch(sha256):
            raise NotWritable(f"{sha256[:80]!r} is no SHA-256")
        path = entries.file_path(self._folder, sha256)
        # Accounted for before it is there: a kill in between leaves an entry too many, never a
        # file that nobody counts.
        name = entries.file_entry(sha256)
        self._account(name, size)
        with storage_errors(path):
            private_folder(self._folder / "files")
            path.parent.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
            # No fsync: what a power cut leaves of it does not hash to its name, and is removed.
            self._intact[sha256] = _mark(spool.lstat())
            replace(spool, path)
        if path.exists() and not self._database.rows("SELECT 1 FROM entries WHERE name = ?", name):
            # Another process has made room just in between.
            self._adopt(name, size)
        return CachedFile(sha256, path, size)

    def _adopt(self, name: str, size: int) -> bool:
        """Account for a file that the index does not know, after a damaged one began anew."""
        try:
            self._account(name, size)
        except StorageError:
            return False
        return True

    def _account(self, name: str, size: int) -> None:
        now = self._clock.now()
        with self._database.transaction() as connection:
            entries.put(connection, name, size, now)
        entries.make_room(self._database, self._folder, self._limit, now=now, sparing=name)

    def _is_intact(self, path: Path, status: os.stat_result, sha256: str) -> bool:
        if self._intact.get(sha256) == _mark(status):
            return True
        with path.open("rb") as file:
            mark = _mark(os.fstat(file.fileno()))
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                return False
        self._intact[sha256] = mark
        return True

    def _drop(self, sha256: str) -> None:
        self._notice(f"a damaged file was removed from the cache ({sha256[:12]}…)")
        self._intact.pop(sha256, None)
        with contextlib.suppress(StorageError), self._database.transaction() as connection:
            entries.remove(connection, self._folder, [entries.file_entry(sha256)])


def _mark(status: os.stat_result) -> Mark:
    return status.st_ino, status.st_mtime_ns, status.st_size
