"""Files on their way into the cache."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from typing import TYPE_CHECKING, BinaryIO

from crane_core.cache.reserving import Reservation
from crane_core.errors import NotWritable
from crane_core.files import PRIVATE_FILE, private_folder, storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crane_core.cache.model import CachedFile

    Admit = Callable[[Path, str, int], CachedFile]

# Windows would write two bytes for each line end (docs.microsoft.com, _open).
_BINARY = os.O_RDWR | getattr(os, "O_BINARY", 0)


class DiskSpool:
    """A private file that its writer keeps locked, so that others see whether it lives.

    What is written is at once in the file, for readers with a file object of their own.
    """

    def __init__(self, folder: Path, limit: int, admit: Admit, expected: int = 0) -> None:
        """Make one in `folder`; `admit` takes it into the cache. Raises a `StorageError`.

        Room is reserved for as many bytes as are `expected`.
        """
        private_folder(folder)
        self._limit = limit
        self._admit = admit
        self._size = 0
        self._done = False
        with storage_errors(folder):
            self.path, self._file = _new_file(folder)
        self._room = Reservation(self._file, expected)

    def write(self, chunk: bytes | memoryview) -> None:
        """Append. Raises `DiskFull`, or `NotWritable`, also for more than the cache may hold."""
        if self._size + len(chunk) > self._limit:
            raise NotWritable("the file is larger than the cache may grow")
        self._room.extend(self._size, len(chunk))
        rest = memoryview(chunk)
        with storage_errors(self.path):
            while rest:
                rest = rest[os.write(self._file, rest) :]
        self._size += len(chunk)

    def reader(self) -> BinaryIO:
        """Return a file object of one's own on what has been written.

        At its end it returns nothing, and more once more is written. Raises `NotWritable`.
        """
        with storage_errors(self.path):
            return self.path.open("rb")

    def commit(self, sha256: str) -> CachedFile:
        """Make it a cached file under its hash, which the caller has computed, atomically.

        Raises a `StorageError`; then there is still something to read, and to discard.
        """
        if sys.platform == "win32":
            self._close()  # an open file cannot be renamed there
        cached = self._admit(self.path, sha256, self._size)
        # Still locked until here: nobody may tidy it away on the way.
        self._close()
        self.path, self._done = cached.path, True
        return cached

    def discard(self) -> None:
        """Remove it, unless it has become a cached file."""
        self._close()
        if not self._done:
            self._done = True
            with contextlib.suppress(OSError):
                self.path.unlink()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _new_file(folder: Path) -> tuple[Path, int]:
    while True:
        path = folder / f"{secrets.token_hex(8)}.part"
        # O_EXCL: never follow a link that somebody put there.
        descriptor = os.open(path, _BINARY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        if _hold(descriptor) and os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)  # somebody tidied it away before it was locked


def tidy(folder: Path) -> int:
    """Remove what writers have left that are no more. Returns the bytes that are free again."""
    freed = 0
    with contextlib.suppress(OSError):
        for path in list(folder.glob("*.part")):
            freed += _remove_if_dead(path)
    return freed


def _remove_if_dead(path: Path) -> int:
    try:
        descriptor = os.open(path, _BINARY)
    except OSError:
        return 0
    try:
        if not _hold(descriptor, needed=True):
            return 0
        size = os.fstat(descriptor).st_size
        if sys.platform == "win32":
            os.close(descriptor)
            descriptor = -1
        path.unlink()
    except OSError:
        # Windows: its writer has it open.
        return 0
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return size


if sys.platform == "win32":

    def _hold(descriptor: int, *, needed: bool = False) -> bool:
        # A lock there would keep readers out; an open file cannot be removed, which is as good.
        return True

else:
    import fcntl

    def _hold(descriptor: int, *, needed: bool = False) -> bool:
        """Lock the file for as long as it is open; the kernel lets go when we are killed."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            # A file system without locks: nothing is ever tidied there.
            return not needed
        return True
