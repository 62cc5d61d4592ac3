"""Lets a Python process fail at its n-th write below a folder, from its very start on.

It is found by way of PYTHONPATH, and the interpreter tells its hooks before each such call
(PEP 578). Variables: `FAULT_IN`, a word of the command line of the process that is meant;
`FAULT_ROOT`, the folder; `FAULT_AT`, at which write (0: at none); `FAULT`, what happens there:
`KILL`, or an error's name; `FAULT_LOG`, a file that gets a line for each write.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CALLS = {
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "os.link",
    "os.symlink", "sqlite3.connect",
}  # fmt: skip


def written(event: str, arguments: tuple[Any, ...]) -> str:
    """Return the path that a call is about to write to, nothing if it only reads."""
    if event == "open":
        if not (arguments[2] or 0) & WRITES:
            return ""
    elif event not in CALLS:
        return ""
    name = arguments[0]
    path = os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else ""
    # pathlib makes each folder once more than needed.
    return "" if event == "os.mkdir" and Path(path).is_dir() else path.removeprefix("file:")


def watch() -> None:
    """Count the writes of this process, and let one fail."""
    root, at, fault = os.environ["FAULT_ROOT"], int(os.environ["FAULT_AT"]), os.environ["FAULT"]
    log = os.open(os.environ["FAULT_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        path = written(event, arguments)
        if not path.startswith(root):
            return
        count += 1
        os.write(log, f"{event} {path[len(root) + 1 :]}\n".encode())
        if count == at:
            if fault == "KILL":
                os.kill(os.getpid(), signal.SIGKILL)
            number = getattr(errno, fault)
            raise OSError(number, os.strerror(number), path)

    sys.addaudithook(hook)


if os.environ.get("FAULT_IN", "\0") in " ".join(sys.orig_argv):
    watch()
