"""Pages in front of the disk: those of a moment ago, and those on their way to it.

An install asks for a hundred pages in a second, and again for most of them. What it takes to read
or write each one on the disk it need not wait for.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from crane_core.cache.clearing import Clearings
from crane_core.cache.database import Change
from crane_core.cache.freshness import lifetime
from crane_core.cache.pages import Packed
from crane_core.cache.validation import lasting
from crane_core.index.parsed import LARGEST_KEPT

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from crane_core.cache.database import CacheDatabase
    from crane_core.cache.model import PageKey, StoredPage
    from crane_core.cache.pages import SqlitePages
    from crane_core.clock import Clock

MOST_BYTES = 16 << 20
# Seconds for which the disk is not looked at: another process may have made room there.
HOLD = 60.0
# Seconds that the disk's date of a page may be behind, if nobody may use the page unasked anyway.
LATE = 10.0
# Seconds, of the machine: whoever clears the cache does not ask for a page as soon.
LOOK_AGAIN = 0.01
# A disk that is slower than the network must not fill the memory; what is too much is not kept.
MOST_UNWRITTEN = 64 << 20
_EACH = 1024


class RecentPages:
    """The pages of a cache (`PageStore`); of those in memory the least recently used leave first.

    Changes count at once for this process, and are made on the disk soon after, in a thread.
    """

    def __init__(self, store: SqlitePages, database: CacheDatabase, clock: Clock) -> None:
        self._store = store
        self._database = database
        self._clock = clock
        self._clearings = Clearings(database.path.parent)
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        # With when it came here, and as it is on the disk.
        self._pages: OrderedDict[PageKey, tuple[StoredPage, float, StoredPage]] = OrderedDict()
        self._size = 0
        # What the disk does not have yet; None is a page that is to be dropped there.
        self._unwritten: dict[PageKey, StoredPage | None] = {}
        self._unwritten_size = 0
        self._is_open = False

    def open(self) -> None:
        """Make the database ready, which may wait for another process that does; for a thread."""
        self._database.open()
        self._is_open = True

    async def get(self, key: PageKey) -> StoredPage | None:
        """Return the page, None if it is not there or damaged."""
        if known := self._known(key):
            return known[0]
        if not self._is_open:
            await asyncio.to_thread(self.open)
        page = self._store.read_small(key)
        if isinstance(page, Packed):
            page = await asyncio.to_thread(self._store.read, key)
        if page is not None:
            self._put(key, page, page)
        return page

    def write(self, key: PageKey, page: StoredPage) -> None:
        """Keep a page."""
        if self._unwritten_size + _size(page) > MOST_UNWRITTEN:
            self.remove(key)
        else:
            self._change(key, page, partial(self._store.put, key, page))

    def renew(self, key: PageKey, page: StoredPage) -> None:
        """Take over the headers of a 304 (RFC 9111 §4.3.4); the body is the one that is there.

        A page that is asked for again and again is written down now and then.
        """
        with self._lock:
            known = None if key in self._unwritten else self._pages.get(key)
        if known is not None and _says_as_much(known[2], page):
            self._put(key, page, known[2])
        else:
            self._change(key, page, partial(self._store.renewed, key, page), grows=False)

    def remove(self, key: PageKey) -> None:
        """Drop a page."""
        if self._known(key) or self._store.has(key):
            self._change(key, None, partial(self._store.drop, key))

    def flush(self) -> None:
        """Wait until the changes are on the disk; for a thread."""
        self._database.flush()

    def _change(
        self,
        key: PageKey,
        page: StoredPage | None,
        make: Callable[[sqlite3.Connection], None],
        *,
        grows: bool = True,
    ) -> None:
        if not self._store.limit:
            return
        with self._lock:
            self._count(key, -1)
            self._unwritten[key] = page
            self._count(key, 1)
            self._drop(key)
        if page is not None:
            held = replace(page, packed=b"") if page.packed else page
            self._put(key, held, held)
        room = None if page is None or not grows else partial(self._store.make_room, key)
        self._database.later(Change(make, room, partial(self._tried, key, page)))

    def _tried(self, key: PageKey, page: StoredPage | None) -> None:
        """Let the disk speak, unless there is something newer on its way."""
        with self._lock:
            if key in self._unwritten and self._unwritten[key] is page:
                self._count(key, -1)
                del self._unwritten[key]

    def _count(self, key: PageKey, sign: int) -> None:
        if (page := self._unwritten.get(key)) is not None:
            self._unwritten_size += sign * _size(page)

    def _known(self, key: PageKey) -> tuple[StoredPage | None] | None:
        """Return the page, or that there is none; None if the disk knows."""
        with self._lock:
            if key in self._unwritten:
                return (self._unwritten[key],)
            self._look_for_clearing()
            known = self._pages.get(key)
            if known is None or not 0 <= self._clock.now() - known[1] < HOLD:
                return None
            self._pages.move_to_end(key)
            return (known[0],)

    def _look_for_clearing(self) -> None:
        now = time.monotonic()
        if now - self._looked_at >= LOOK_AGAIN:
            self._looked_at = now
            if self._clearings.is_new():
                self._pages.clear()
                self._size = 0

    def _put(self, key: PageKey, page: StoredPage, written: StoredPage) -> None:
        with self._lock:
            self._drop(key)
            if len(page.body) > LARGEST_KEPT:
                return
            self._pages[key] = page, self._clock.now(), written
            self._size += len(page.body) + _EACH
            while self._size > MOST_BYTES:
                self._drop(next(iter(self._pages)))

    def _drop(self, key: PageKey) -> None:
        if known := self._pages.pop(key, None):
            self._size -= len(known[0].body) + _EACH


def _size(page: StoredPage) -> int:
    return len(page.body) + len(page.packed)


def _says_as_much(written: StoredPage, renewed: StoredPage) -> bool:
    """Whether the disk can keep what it has of a page: then it is a little older there."""
    if not 0 <= renewed.stored_at - written.stored_at < LATE or lifetime(renewed) > 0:
        return False
    return lasting(written.headers) == lasting(renewed.headers)
