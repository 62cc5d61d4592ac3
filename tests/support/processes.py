"""Processes that need not be our children: to end them, and to see that they have ended.

Who inherits an orphan may let it lie for seconds once it is dead; so nobody waits for its number
to be free.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal

LIMIT = 60.0  # seconds, on a busy machine


def wait_for_end(pid: int, seconds: float = LIMIT) -> bool:
    """Wait until a process that need not be our child has ended; says whether it has."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def kill(pid: int) -> None:
    """Kill a process, and wait until it is dead."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        assert wait_for_end(pid)
