"""What takes space in the cache, and what has to leave when it is full: the least recently used."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from crane_core.errors import StorageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from crane_core.cache.database import CacheDatabase

# A use is written once an hour: what was used this hour all counts as new.
USE_SECONDS = 3_600.0
# So many leave in one transaction, during which no other process can write.
STEP = 16
SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE = "file:"
_TOTAL = "SELECT COALESCE(SUM(size), 0) FROM entries"
# What was used in the future, before the clock was set back, must not stay until then.
_OLDEST = (
    "SELECT name, size FROM entries WHERE name != ? ORDER BY used_at > ? DESC, used_at LIMIT ?"
)
_PUT = (
    "INSERT INTO entries VALUES (?, ?, ?) ON CONFLICT (name) "
    "DO UPDATE SET size = excluded.size, used_at = excluded.used_at"
)


def file_entry(sha256: str) -> str:
    """Return the name under which a file is accounted for."""
    return _FILE + sha256


def is_file(name: str) -> bool:
    """Whether an entry is a file."""
    return name.startswith(_FILE)


def file_path(folder: Path, sha256: str) -> Path:
    """Return where a file of that hash is."""
    return folder / "files" / sha256[:2] / sha256


def in_steps(names: Iterable[str]) -> Iterator[list[str]]:
    """Yield the names in parts, each for one transaction, between which others can write."""
    rest = list(names)
    while rest:
        yield rest[:STEP]
        rest = rest[STEP:]


def put(connection: sqlite3.Connection, name: str, size: int, now: float) -> None:
    """Account for an entry, within a transaction."""
    connection.execute(_PUT, (name, size, now))


def note_use(database: CacheDatabase, name: str, used_at: float, now: float) -> None:
    """Remember that an entry was used, if its last use was an hour ago or more."""
    # In both directions: the clock may have been set back.
    if abs(now - used_at) >= USE_SECONDS:
        database.change("UPDATE entries SET used_at = ? WHERE name = ?", now, name)


def make_room(
    database: CacheDatabase, folder: Path, limit: int, *, now: float, sparing: str
) -> None:
    """Remove what was not used for longest until the rest is within `limit` bytes.

    The entry `sparing` stays. Where the database is busy, that is left to the next one.
    """
    with contextlib.suppress(StorageError):
        # Asked first without a lock: almost always there is room.
        while (rows := database.rows(_TOTAL)) and rows[0][0] > limit:
            with database.transaction() as connection:
                if not _remove_oldest(connection, folder, limit, now, sparing):
                    return


def _remove_oldest(
    connection: sqlite3.Connection, folder: Path, limit: int, now: float, sparing: str
) -> bool:
    # Summed up again: another process may just have made room.
    over = connection.execute(_TOTAL).fetchone()[0] - limit
    leaving = []
    for name, size in connection.execute(_OLDEST, (sparing, now + USE_SECONDS, STEP)).fetchall():
        if over <= 0:
            break
        leaving.append(name)
        over -= size
    remove(connection, folder, leaving)
    return bool(leaving)


def remove(connection: sqlite3.Connection, folder: Path, names: Sequence[str]) -> None:
    """Remove entries with all that belongs to them, within a transaction.

    A file that another process reads stays readable for it. The file goes while nobody else can
    account for it anew. After a kill in between there is an entry without a file, which leaves in
    its turn.
    """
    for name in names:
        connection.execute("DELETE FROM entries WHERE name = ?", (name,))
        if is_file(name):
            sha256 = name.removeprefix(_FILE)
            connection.execute("DELETE FROM grants WHERE sha256 = ?", (sha256,))
            with contextlib.suppress(OSError):
                file_path(folder, sha256).unlink()
        else:
            connection.execute("DELETE FROM pages WHERE name = ?", (name,))
            connection.execute("DELETE FROM bodies WHERE name = ?", (name,))
