"""Files that are written whole or not at all, and read only if they are private."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from crane_core import platform
from crane_core.errors import DiskFull, NotWritable, StorageError, UnsafePermissions
from crane_core.sharing import patiently, remove, replace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors about `path` into ours.

    Raises `DiskFull` (ENOSPC, EDQUOT), else `NotWritable`.
    """
    try:
        yield
    except OSError as error:
        raise _explained(path, error) from error


def _explained(path: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFull(
            f"no space left to write {path}", hint="free some space, then run the command again"
        )
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return NotWritable(
            f"cannot open {path}: {reason}",
            hint="end some programs, or raise the limit (ulimit -n), then run the command again",
        )
    return NotWritable(
        f"cannot write {path}: {reason}",
        hint="make it writable for you, or set CRANE_HOME to another folder",
    )


def private_folder(path: Path) -> Path:
    """Make the folder and its parents, the last one for the user alone.

    Raises `NotWritable` or `UnsafePermissions`.
    """
    with storage_errors(path):
        # As far up as folders are crane's: `data/agents/KEY` lies the deepest.
        for folder in (path.parent.parent, path.parent, path):
            _refuse_link_of_others(folder)
        path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        status = path.stat()
        if platform.readable_by_others(status) and platform.owned_by_me(status):
            path.chmod(PRIVATE_FOLDER)
    require_private(path)
    return path


def _refuse_link_of_others(path: Path) -> None:
    """Raise `UnsafePermissions` where somebody else decides what we write into, or empty."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(status.st_mode) and not platform.owned_by_me_or_root(status):
        raise _foreign(path)


def _foreign(path: Path) -> UnsafePermissions:
    return UnsafePermissions(
        f"{path} belongs to another user", hint="remove it, or set CRANE_HOME elsewhere"
    )


def require_private(path: Path) -> None:
    """Raise `UnsafePermissions` if another user owns the file or may read it."""
    with storage_errors(path):
        _require_private(path, path.stat())


def _require_private(path: Path, status: os.stat_result) -> None:
    if not platform.owned_by_me(status):
        raise _foreign(path)
    if platform.readable_by_others(status):
        # `chmod go=` keeps a folder's x bit for its owner; one line serves both kinds.
        raise UnsafePermissions(
            f"{path} can be read by other users", hint=f"run: chmod go= '{path}'"
        )


def write_private(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace a file's content atomically: after a crash the old or the new one is there, whole.

    What is of no use after a restart of the machine need not be `durable`. Raises `DiskFull`,
    `NotWritable` or `UnsafePermissions`.
    """
    private_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    with storage_errors(path):
        try:
            _write_new(temporary, content, durable=durable)
            replace(temporary, path)
            if durable:
                platform.sync_folder(path.parent)
        except BaseException:
            remove(temporary)
            raise


def require_absent(path: Path) -> None:
    """Raise `NotWritable` if there is a file of that name; a link counts, wherever it leads."""
    if os.path.lexists(path):
        raise NotWritable(f"{path} is there already", hint="name another file with --output")


def write_new_private(path: Path, content: bytes) -> None:
    """Write a private file that was not there, into any folder.

    Raises `DiskFull` or `NotWritable`; then nothing of it is left.
    """
    with storage_errors(path):
        try:
            _write_new(path, content, durable=False)
        except FileExistsError:
            require_absent(path)
            raise
        except BaseException:
            remove(path)
            raise


def require_room(path: Path, size: int) -> None:
    """Raise what `write_private` would for a content of that size; nothing is changed.

    For before a step that cannot be taken back, and whose outcome must be kept.
    """
    private_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    with storage_errors(path):
        try:
            _write_new(temporary, bytes(size), durable=True)
        finally:
            remove(temporary)


def _write_new(path: Path, content: bytes, *, durable: bool) -> None:
    # O_EXCL: never follow a link that somebody put there.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def read_private(path: Path) -> bytes | None:
    """Return a private file's content, None if there is no file.

    Raises `UnsafePermissions`, or `NotWritable` when the file cannot be read.
    """
    with storage_errors(path):
        try:
            file = patiently(lambda: path.open("rb"))
        except FileNotFoundError:
            return None
        with file:
            # Of the open file, not of its name: another process may replace it meanwhile.
            _require_private(path, os.fstat(file.fileno()))
            return file.read()
