"""Pages in the cache's database: one transaction holds a page, its headers and its size.

SQLite reads a small page faster than the file system does, and a kill leaves the old or the new
page, never half of one. Bodies have a table of their own, since a 304 changes headers only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zlib
from typing import TYPE_CHECKING, Any

from crane_core.cache import entries
from crane_core.cache.model import StoredPage
from crane_core.errors import StorageError
from crane_core.index.page import ACCEPT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from crane_core.cache.database import CacheDatabase
    from crane_core.cache.model import PageKey
    from crane_core.clock import Clock

# To unpack takes longer than to read: 0.4 ms for this many bytes. Most pages are smaller.
PACK_FROM = 256 << 10
_OVERHEAD = 256
_READ = (
    "SELECT final_url, headers, stored_at, packed, checksum, body, used_at "
    "FROM pages JOIN bodies USING (name) JOIN entries USING (name) WHERE name = ?"
)
_WRITE = "INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class SqlitePages:
    """Keeps pages by URL and identity; large ones are packed.

    What is asked for is part of the name: a crane that accepts other types asks for another page.
    """

    def __init__(self, folder: Path, database: CacheDatabase, clock: Clock, limit: int) -> None:
        self._folder = folder
        self._database = database
        self._clock = clock
        self._limit = limit

    def read(self, key: PageKey) -> StoredPage | None:
        """Return the page, None if it is not there or damaged."""
        if not self._limit:
            return None
        name = page_entry(key)
        rows = self._database.rows(_READ, name)
        if not rows:
            return None
        page = _unpacked(*rows[0][:6])
        if page is None:
            self.remove(key)
            return None
        entries.note_use(self._database, name, rows[0][6], self._clock.now())
        return page

    def write(self, key: PageKey, page: StoredPage) -> None:
        """Keep a page, unless the cache cannot be written or is too small for it."""
        packed = len(page.body) >= PACK_FROM
        body = zlib.compress(page.body, 1) if packed else page.body
        headers = json.dumps(dict(page.headers))
        size = len(body) + len(headers) + _OVERHEAD
        if size > self._limit:
            return
        name, checksum, now = page_entry(key), zlib.crc32(body, packed), self._clock.now()
        row = (
            name, key.url, key.identity, page.final_url, headers, page.stored_at, packed, checksum,
        )  # fmt: skip
        with contextlib.suppress(StorageError):
            with self._database.transaction() as connection:
                connection.execute(_WRITE, row)
                connection.execute("INSERT OR REPLACE INTO bodies VALUES (?, ?)", (name, body))
                entries.put(connection, name, size, now)
            entries.make_room(self._database, self._folder, self._limit, now=now, sparing=name)

    def renew(self, key: PageKey, stored_at: float, headers: Mapping[str, str]) -> None:
        """Take over the headers of a 304 (RFC 9111 §4.3.4)."""
        if self._limit:
            self._database.change(
                "UPDATE pages SET stored_at = ?, headers = ? WHERE name = ?",
                stored_at,
                json.dumps(dict(headers)),
                page_entry(key),
            )

    def remove(self, key: PageKey) -> None:
        """Drop a page."""
        name = page_entry(key)
        # Looked for first: most pages that are not there never were, and reading needs no lock.
        if self._limit and self._database.rows("SELECT 1 FROM pages WHERE name = ?", name):
            with contextlib.suppress(StorageError), self._database.transaction() as connection:
                entries.remove(connection, self._folder, [name])


def page_entry(key: PageKey) -> str:
    """Return the name under which a page is kept."""
    text = json.dumps([key.url, key.identity, ACCEPT])
    return "page:" + hashlib.sha256(text.encode()).hexdigest()


def _unpacked(
    final_url: str, headers: str, stored_at: float, packed: bool, checksum: int, body: Any
) -> StoredPage | None:
    try:
        if zlib.crc32(body, packed) != checksum:
            return None
        plain = zlib.decompress(body) if packed else body
        return StoredPage(final_url, json.loads(headers), plain, stored_at)
    except (ValueError, TypeError, zlib.error):
        return None
