"""Brings a file and a page into a cache, and is killed with SIGKILL at a step of that.

    python crashing.py STEP FOLDER SIZE

A cache of that size with older files must make room for the new one.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cache.kit import ADA, FILE_URL, Desk

from crane_core.cache import entries, schema
from crane_core.cache.files import DiskFileStore
from crane_core.cache.spool import DiskSpool

NEW = b"the new wheel" * 100


def die() -> None:
    """End here, as by a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


def always(*_: object) -> bool:
    return True


def around(owner: Any, name: str, *, before: bool, when: Callable[..., bool] = always) -> None:
    """Die before or after a function is called with arguments for which `when` holds."""
    function = getattr(owner, name)

    def dying(*arguments: Any, **options: Any) -> Any:
        meant = when(*arguments)
        if meant and before:
            die()
        result = function(*arguments, **options)
        if meant:
            die()
        return result

    setattr(owner, name, dying)


def is_spool(path: Path, *_: object) -> bool:
    return path.suffix == ".part"


def is_cached(path: Path, *_: object) -> bool:
    return path.parent.parent.name == "files"


def is_new_file(_: object, name: str, *__: object) -> bool:
    return entries.is_file(name)


def is_page(_: object, name: str, *__: object) -> bool:
    return not entries.is_file(name)


STEPS: dict[str, Callable[[], None]] = {
    "the database is empty": lambda: around(schema, "_version", before=False),
    "half of the file is written": lambda: around(DiskSpool, "write", before=False),
    "the file is written": lambda: around(DiskFileStore, "_admit", before=True),
    "its entry is written, not committed": lambda: around(
        entries, "put", before=False, when=is_new_file
    ),
    "its entry is committed": lambda: around(entries, "make_room", before=True),
    "an older file has left, not committed": lambda: around(
        Path, "unlink", before=False, when=is_cached
    ),
    "room is made, not committed": lambda: around(entries, "_remove_oldest", before=False),
    "room is made": lambda: around(entries, "make_room", before=False),
    "it is about to be renamed": lambda: around(Path, "replace", before=True, when=is_spool),
    "it is renamed": lambda: around(Path, "replace", before=False, when=is_spool),
    "it is cached, not authorised": lambda: around(DiskFileStore, "authorise", before=True),
    "it is authorised": lambda: around(DiskFileStore, "authorise", before=False),
    "the page is written, not committed": lambda: around(
        entries, "put", before=False, when=is_page
    ),
}

if __name__ == "__main__":
    step, place, most = sys.argv[1:]
    desk = Desk(Path(place), int(most))
    desk.clock.time += 1000
    STEPS[step]()
    desk.put(NEW, FILE_URL, ADA)
    desk.put_page(body=b"the new page")
    sys.exit("nothing killed this process")
