"""Pages in the cache's database: one transaction holds a page, its headers and its size.

SQLite reads a small page faster than the file system does, and a kill leaves the old or the new
page, never half of one. Bodies have a table of their own, since a 304 changes headers only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from crane_core.cache import entries
from crane_core.cache.model import StoredPage
from crane_core.errors import StorageError
from crane_core.index.page import ACCEPT

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from pathlib import Path

    from crane_core.cache.database import CacheDatabase
    from crane_core.cache.model import PageKey
    from crane_core.clock import Clock

# To unpack takes longer than to read: 0.4 ms for this many bytes. Most pages are smaller.
PACK_FROM = 256 << 10
_OVERHEAD = 256
_ANY_FORMAT = 32 + zlib.MAX_WBITS  # zlib's, as we pack, and gzip's, as an index did
_READ = (
    "SELECT final_url, headers, stored_at, packed, checksum, body, used_at "
    "FROM pages JOIN bodies USING (name) JOIN entries USING (name) WHERE name = ?"
)
# The body of a packed page is left for a thread.
_READ_SMALL = _READ.replace(" body,", " CASE WHEN packed THEN NULL ELSE body END,")
_IS_THERE = "SELECT 1 FROM pages WHERE name = ?"
_RENEW = "UPDATE pages SET stored_at = ?, headers = ? WHERE name = ?"
_WRITE = "INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class Packed:
    """A page that is there, and takes time to read."""


class SqlitePages:
    """Keeps pages by URL and identity; large ones are packed.

    What is asked for is part of the name: a crane that accepts other types asks for another page.
    `put`, `renewed` and `drop` are for within a transaction, the others do one of their own.
    """

    def __init__(self, folder: Path, database: CacheDatabase, clock: Clock, limit: int) -> None:
        self._folder = folder
        self._database = database
        self._clock = clock
        self.limit = limit

    def read(self, key: PageKey) -> StoredPage | None:
        """Return the page, None if it is not there or damaged."""
        rows = self._database.rows(_READ, page_entry(key)) if self.limit else ()
        return self._found(key, rows[0]) if rows else None

    def read_small(self, key: PageKey) -> StoredPage | Packed | None:
        """Return the page, if it takes no more time than a hop to a thread; else that it is there.

        For the event loop.
        """
        rows = self._database.rows(_READ_SMALL, page_entry(key)) if self.limit else ()
        if not rows:
            return None
        return Packed() if rows[0][3] else self._found(key, rows[0])

    def _found(self, key: PageKey, row: tuple[Any, ...]) -> StoredPage | None:
        page = _unpacked(*row[:6])
        if page is None:
            self.remove(key)
            return None
        entries.note_use(self._database, page_entry(key), row[6], self._clock.now())
        return page

    def has(self, key: PageKey) -> bool:
        """Whether there is one. Most of those that are not never were, and this needs no lock."""
        return bool(self.limit and self._database.rows(_IS_THERE, page_entry(key)))

    def write(self, key: PageKey, page: StoredPage) -> None:
        """Keep a page, unless the cache cannot be written or is too small for it."""
        with contextlib.suppress(StorageError):
            with self._database.transaction() as connection:
                self.put(key, page, connection)
            self.make_room(key)

    def renew(self, key: PageKey, stored_at: float, headers: Mapping[str, str]) -> None:
        """Take over the headers of a 304 (RFC 9111 §4.3.4)."""
        if self.limit:
            self._database.change(_RENEW, *_renewal(key, stored_at, headers))

    def remove(self, key: PageKey) -> None:
        """Drop a page."""
        if self.has(key):
            with contextlib.suppress(StorageError), self._database.transaction() as connection:
                self.drop(key, connection)

    def put(self, key: PageKey, page: StoredPage, connection: sqlite3.Connection) -> None:
        """Keep a page that is not too large."""
        packed = len(page.body) >= PACK_FROM
        body = (page.packed or zlib.compress(page.body, 1)) if packed else page.body
        headers = json.dumps(dict(page.headers))
        size = len(body) + len(headers) + _OVERHEAD
        if size > self.limit:
            return
        name, checksum = page_entry(key), zlib.crc32(body, packed)
        row = (
            name, key.url, key.identity, page.final_url, headers, page.stored_at, packed, checksum,
        )  # fmt: skip
        connection.execute(_WRITE, row)
        connection.execute("INSERT OR REPLACE INTO bodies VALUES (?, ?)", (name, body))
        entries.put(connection, name, size, self._clock.now())

    def renewed(self, key: PageKey, page: StoredPage, connection: sqlite3.Connection) -> None:
        """Take over a page's headers."""
        connection.execute(_RENEW, _renewal(key, page.stored_at, page.headers))

    def drop(self, key: PageKey, connection: sqlite3.Connection) -> None:
        """Drop a page."""
        entries.remove(connection, self._folder, [page_entry(key)])

    def make_room(self, sparing: PageKey) -> None:
        """Remove what was not used for longest, if there is too much."""
        now, name = self._clock.now(), page_entry(sparing)
        entries.make_room(self._database, self._folder, self.limit, now=now, sparing=name)


def _renewal(key: PageKey, stored_at: float, headers: Mapping[str, str]) -> tuple[Any, ...]:
    return stored_at, json.dumps(dict(headers)), page_entry(key)


def page_entry(key: PageKey) -> str:
    """Return the name under which a page is kept."""
    return _entry(key.url, key.identity, ACCEPT)


@lru_cache(1024)
def _entry(*of: str) -> str:
    text = json.dumps(of)
    return "page:" + hashlib.sha256(text.encode()).hexdigest()


def _unpacked(
    final_url: str, headers: str, stored_at: float, packed: bool, checksum: int, body: Any
) -> StoredPage | None:
    try:
        if zlib.crc32(body, packed) != checksum:
            return None
        plain = zlib.decompress(body, _ANY_FORMAT) if packed else body
        return StoredPage(final_url, json.loads(headers), plain, stored_at)
    except (ValueError, TypeError, zlib.error):
        return None
