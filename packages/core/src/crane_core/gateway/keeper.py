"""What is done in a thread with a body that passes: it is hashed, and written into the cache."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import threading
from typing import TYPE_CHECKING, TypeVar

from crane_core.errors import StorageError

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from typing import BinaryIO

    from crane_core.cache.model import FileStore, Spool
    from crane_core.responses import Piece

# Windows does not rename a file that somebody reads.
RENAMES_OPEN_FILES = os.name != "nt"

T = TypeVar("T")


class Keeper:
    """Takes a body piece by piece.

    A cache that cannot be written is no reason to stop: then what it has stays readable, and the
    rest is only hashed. All methods but `read` are for a thread, one call at a time.
    """

    def __init__(self, store: FileStore | None) -> None:
        self._store = store
        self._digest = hashlib.sha256()
        self._spool: Spool | None = None
        self._file: BinaryIO | None = None
        self._file_lock = threading.Lock()
        # How many bytes are to come, if that is known.
        self.size: int | None = None
        # How many bytes were taken, and whether all of them can be read back.
        self.taken = 0
        self.has_all = store is not None

    @property
    def sha256(self) -> str:
        """The hash of what was taken, in hexadecimal."""
        return self._digest.hexdigest()

    def take(self, pieces: deque[Piece], progress: Callable[[], None]) -> None:
        """Hash and write pieces until there are no more, and call `progress` after each."""
        if self.has_all and self._spool is None:
            self._open()
        while pieces:
            piece = pieces.popleft()
            self._digest.update(piece)
            if self.has_all:
                self._write(piece)
            # Last: whoever looks at it first, and at `has_all` then, knows what can be read back.
            self.taken += len(piece)
            progress()

    def _open(self) -> None:
        assert self._store is not None
        self.has_all = False
        self._spool = self._store.spool(self.size)
        if self._spool is not None:
            try:
                self._file = self._spool.reader()
            except StorageError:
                return
            self.has_all = True

    def _write(self, piece: Piece) -> None:
        assert self._spool is not None
        try:
            self._spool.write(piece)
        except StorageError:
            self.has_all = False

    def read(self, offset: int, size: int) -> bytes:
        """Return what was written there, nothing if the disk fails; for the loop's thread.

        It does not block: the system has what was written moments ago in memory, and gives 256 KiB
        of it in 10 to 20 µs, which is less than a hop to a thread takes.
        """
        assert self._file is not None
        try:
            with self._file_lock:
                self._file.seek(offset)
                return self._file.read(size)
        except (OSError, ValueError):
            return b""

    def commit(self, sha256: str) -> bool:
        """Make it a file of the cache. Returns whether it is one."""
        if self._spool is None or self._file is None or not self.has_all:
            return False
        if RENAMES_OPEN_FILES:
            return _commit(self._spool, sha256)
        with self._file_lock, contextlib.suppress(StorageError):
            self._file.close()
            is_kept = _commit(self._spool, sha256)
            self._file = self._spool.reader()
        return is_kept

    def discard(self) -> None:
        """Remove what has not become a file of the cache; who reads it reads on."""
        if self._spool is not None:
            self._spool.discard()

    @property
    def holds_space(self) -> bool:
        """Whether there is something on the disk."""
        return self._spool is not None

    def give_back(self) -> None:
        """Free the space; a disk that is full cannot even remember a hash."""
        self.discard()
        self.close()
        self._spool = None

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()


def _commit(spool: Spool, sha256: str) -> bool:
    try:
        spool.commit(sha256)
    except StorageError:
        return False
    return True


async def to_the_end(function: Callable[..., T], *arguments: object) -> T:
    """Run a function in a thread; whoever is cancelled meanwhile waits for its end.

    A thread cannot be cancelled, and what it works on must not be taken away from it.
    """
    job = asyncio.get_running_loop().run_in_executor(None, function, *arguments)
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        await asyncio.wait([job])
        raise
