"""Running a command on our terminal while we wait for it, with its signals and exit code."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING

from crane_core.platform import exit_code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


async def run_attached(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run a command on our terminal and return its exit code.

    Ctrl-C reaches it directly, being in our process group: we wait for it to end. SIGTERM and
    SIGHUP are handed on. A command killed by a signal gives 128 + its number, as in a shell.
    """
    process = await asyncio.create_subprocess_exec(*arguments, env=dict(environment))
    with _signals_handed_to(process):
        code = await process.wait()
    return exit_code(code)


@contextlib.contextmanager
def _signals_handed_to(process: asyncio.subprocess.Process) -> Iterator[None]:
    if sys.platform == "win32":
        # A console's Ctrl-C reaches every process attached to it; we outlive it to clean up.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
        return
    loop = asyncio.get_running_loop()

    def hand_on(number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)

    loop.add_signal_handler(signal.SIGINT, _nothing)
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, hand_on, number)
    try:
        yield
    finally:
        # A terminal that closes sends more than one: what is left to do is to clean up.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, _nothing)


def _nothing() -> None:
    """Let a signal pass."""
