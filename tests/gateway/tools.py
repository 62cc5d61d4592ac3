"""How tools present themselves, and waiting for what the gateway does on its own."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 15.0
_PIP = {
    "ci": None,
    "cpu": "x86_64",
    "distro": {"name": "Debian", "version": "12", "libc": {"lib": "glibc", "version": "2.36"}},
    "implementation": {"name": "CPython", "version": "3.12.4"},
    "installer": {"name": "pip", "version": "26.3"},
    "python": "3.12.4",
    "system": {"name": "Linux", "release": "6.1"},
}  # fmt: skip
PIP = f"pip/26.3 {json.dumps(_PIP, separators=(',', ':'))}"


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that another thread does; fails with `what` if it does not come."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"it never came to this: {what}"
        time.sleep(0.01)


def until_ended(pid: str) -> None:
    """Wait until a killed process is gone, or has nothing left but its number."""
    command = Path(f"/proc/{pid}/cmdline")

    def is_over() -> bool:
        try:
            return command.read_bytes() == b""
        except OSError:
            return True

    until(is_over, f"the end of process {pid}")
