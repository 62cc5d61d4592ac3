"""One user's cache: pages, files and contacts below one private folder."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.cache.contacts import SqliteContacts, database_path
from crane_core.cache.database import CacheDatabase
from crane_core.cache.files import DiskFileStore
from crane_core.cache.pages import SqlitePages
from crane_core.cache.recent import RecentPages

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crane_core.clock import Clock


@dataclass(frozen=True, slots=True)
class Cache:
    """The stores of one folder, which all processes of a user may have open.

    `recent` are the `pages` with this process's memory in front.
    """

    folder: Path
    clock: Clock
    limit: int
    files: DiskFileStore
    pages: SqlitePages
    recent: RecentPages
    contacts: SqliteContacts
    database: CacheDatabase

    def warm_up(self) -> None:
        """Make ready what the first page needs; for a thread."""
        if self.limit:
            self.recent.open()
            importlib.import_module("hishel")

    def close(self) -> None:
        """Release the database."""
        self.database.close()


def open_cache(folder: Path, clock: Clock, size: int, notice: Callable[[str], None]) -> Cache:
    """Return the cache in `folder`, of at most `size` bytes; 0 is a cache that keeps nothing.

    Nothing is touched before the first use. `notice` hears, once, why it cannot be used.
    """
    database = CacheDatabase(database_path(folder), notice)
    pages = SqlitePages(folder, database, clock, size)
    return Cache(
        folder=folder,
        clock=clock,
        limit=size,
        files=DiskFileStore(folder, database, clock, size, notice),
        pages=pages,
        recent=RecentPages(pages, database, clock),
        contacts=SqliteContacts(folder, database, size),
        database=database,
    )
