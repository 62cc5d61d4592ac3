"""Small, full and read-only disks, which stop root as well as anybody."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path, size: str = "64k") -> Iterator[Path]:
    """Mount a file system of that size at a folder while the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _run("umount", "--lazy", str(folder))


def fill(disk: Path) -> None:
    """Use up every free block of a disk."""
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017
            return
    raise AssertionError(f"{disk} cannot be filled")


def drain(disk: Path) -> None:
    """Give the blocks back."""
    (disk / "filler").unlink()


def make_read_only(disk: Path) -> None:
    """Let nobody write to a disk any more."""
    _run("mount", "-o", "remount,ro", str(disk))


def make_writable(disk: Path) -> None:
    """Let people write to a disk again."""
    _run("mount", "-o", "remount,rw", str(disk))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
