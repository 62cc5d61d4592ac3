"""That somebody has cleared the cache, for processes that have some of it in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crane_core.files import write_private

if TYPE_CHECKING:
    from pathlib import Path

_NAME = "cleared"


def note_clearing(folder: Path) -> None:
    """Let every process of the user know, once the entries are gone. Raises a `StorageError`."""
    write_private(folder / _NAME, b"", durable=False)


class Clearings:
    """Tells one holder of memory that what it has of the cache in `folder` is to be forgotten."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._seen = self._mark()

    def is_new(self) -> bool:
        """Whether the cache was cleared since this was asked last; takes microseconds."""
        mark = self._mark()
        if mark == self._seen:
            return False
        self._seen = mark
        return True

    def _mark(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        # Each clearing is another file; the time is for file systems that use numbers again.
        return status.st_ino, status.st_mtime_ns
