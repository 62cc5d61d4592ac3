"""When an index last let whom in: the right to be served while it cannot be asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from crane_core.cache import entries
from crane_core.cache.database import CacheDatabase
from crane_core.cache.schema import damaged_name
from crane_core.errors import NotWritable

if TYPE_CHECKING:
    from pathlib import Path

# The log is for limits of hours and days; each page of an install need not be written down.
COARSE_SECONDS = 60.0
# Seconds, of the machine. Each look is a query, and pages may come in thousands a second.
LOOK_AGAIN = 0.01
# Identities that begin so. Not LIKE, to which some characters mean more.
_PAGES = "SELECT name FROM pages WHERE substr(identity, 1, length(?1)) = ?1"
_GRANTS = "DELETE FROM grants WHERE substr(identity, 1, length(?1)) = ?1"
_CONTACTS = "DELETE FROM contacts WHERE substr(identity, 1, length(?1)) = ?1"


class SqliteContacts:
    """Contacts in the cache's database; `index_url` is the index's `token_prefix`."""

    def __init__(self, folder: Path, database: CacheDatabase, limit: int) -> None:
        self._folder = folder
        self._database = database
        self._limit = limit
        self._noted: dict[tuple[str, str], float] = {}
        self._seen: dict[tuple[str, str], float] = {}

    def is_due(self, index_url: str, identity: str, when: float) -> bool:
        """Whether a contact is to be noted; once a minute is enough."""
        if not self._limit:
            return False
        key = index_url, identity
        if not 0 <= when - self._noted.get(key, float("-inf")) < COARSE_SECONDS:
            return True
        # Another process may have cleared the cache since.
        looked_at = time.monotonic()
        if looked_at - self._seen.get(key, float("-inf")) < LOOK_AGAIN:
            return False
        if self.last(*key) is None:
            return True
        self._seen[key] = looked_at
        return False

    def note(self, index_url: str, identity: str, when: float) -> None:
        """Remember a contact, if that is due; for a thread then."""
        key = (index_url, identity)
        if not self.is_due(*key, when):
            return
        if self._database.change("INSERT OR REPLACE INTO contacts VALUES (?, ?, ?)", *key, when):
            self._noted[key] = when

    def last(self, index_url: str, identity: str) -> float | None:
        """Return the last one, in seconds since the epoch."""
        if not self._limit:
            return None
        # Always from the database: another process may have logged out meanwhile.
        statement = "SELECT at FROM contacts WHERE index_url = ? AND identity = ?"
        rows = self._database.rows(statement, index_url, identity)
        return rows[0][0] if rows else None

    def drop(self, index_url: str, identity: str) -> None:
        """Forget the contact: the index has refused this identity."""
        self._noted.pop((index_url, identity), None)
        self._seen.pop((index_url, identity), None)
        if self.last(index_url, identity) is not None:
            self._database.change(
                "DELETE FROM contacts WHERE index_url = ? AND identity = ?", index_url, identity
            )

    def forget(self, identity_prefix: str) -> None:
        """Drop every contact, page and file authorisation of identities that begin so.

        Raises a `StorageError` if that cannot be done.
        """
        self._noted.clear()
        if self._limit:
            self._database.flush()
            forget(self._folder, self._database, identity_prefix)


def forget_login(folder: Path, identity_prefix: str) -> None:
    """Drop all that the cache in `folder` was given for identities that begin so.

    For a logout: it survives a power cut once this has returned. Files stay, as nobody's, until
    somebody is given them anew or they make room. Raises a `StorageError`.
    """
    path = database_path(folder)
    if not path.exists():
        return
    database = CacheDatabase(path, lambda _: None)
    try:
        try:
            forget(folder, database, identity_prefix)
        except NotWritable:
            # Damaged, so it was put aside: what the new one can do, the old one need not.
            forget(folder, database, identity_prefix)
        damaged_name(path).unlink(missing_ok=True)
    finally:
        database.close()


def forget(folder: Path, database: CacheDatabase, prefix: str) -> None:
    """Drop contacts, pages and file authorisations. Raises a `StorageError`."""
    with database.transaction() as connection:
        pages = connection.execute(_PAGES, (prefix,)).fetchall()
        entries.remove(connection, folder, [name for (name,) in pages])
        connection.execute(_GRANTS, (prefix,))
        connection.execute(_CONTACTS, (prefix,))
    database.settle()


def database_path(folder: Path) -> Path:
    """Return where the cache in `folder` has its database."""
    return folder / "cache.sqlite3"
