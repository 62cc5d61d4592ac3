"""The person in front of the terminal."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from crane_cli.progress import is_moving
from crane_core.clients.person import Person
from crane_core.errors import UsageError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Iterator

    from crane_core.auth.model import DeviceAuthorization
    from crane_core.config.model import Index

# To the first column, and nothing behind it (ECMA-48, EL).
CLEAR = "\r\x1b[K"


async def _count_down(seconds: float) -> None:
    import asyncio

    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        minutes, rest = divmod(int(left), 60)
        shown = f"{CLEAR}waiting for you, {minutes}:{rest:02d} left"
        print(shown, end="", file=sys.stderr, flush=True)
        await asyncio.sleep(1)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end a question that is asked in a running event loop.

    The loop's own handler only cancels its task, which waits for the answer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class TerminalPrompt(Person):
    """Talks on stderr, so that stdout stays the tool's own."""

    _is_waiting = False
    _limit: float | None = None
    _countdown: asyncio.Task[None] | None = None

    def say(self, text: str) -> None:
        """Print it."""
        if self._countdown is not None:
            print(CLEAR, end="", file=sys.stderr)
        print(text, file=sys.stderr, flush=True)

    @contextlib.asynccontextmanager
    async def waiting(self, limit: float | None = None) -> AsyncIterator[None]:
        """Show, within this block, how long a login that is asked for is waited for.

        `limit` are seconds that count before those of the login itself. Only on a terminal.
        """
        self._is_waiting, self._limit = True, limit
        try:
            yield
        finally:
            self._is_waiting = False
            if self._countdown is not None:
                self._countdown.cancel()
                self._countdown = None
                print(CLEAR, end="", file=sys.stderr, flush=True)

    def show_authorization(self, index: Index, url: str) -> None:
        """Show the address, and how long is left."""
        from crane_core.auth.grants.authorization_code import LONGEST_WAIT

        super().show_authorization(index, url)
        self._count_down(LONGEST_WAIT)

    def show_device_code(self, index: Index, request: DeviceAuthorization) -> None:
        """Show address and code, and how long is left."""
        super().show_device_code(index, request)
        self._count_down(request.expires_in)

    def _count_down(self, seconds: float) -> None:
        if not self._is_waiting or not is_moving(sys.stderr, self._environ):
            return
        import asyncio

        limit = seconds if self._limit is None else min(seconds, self._limit)
        self._countdown = asyncio.get_running_loop().create_task(_count_down(limit))

    def confirm(self, question: str) -> bool:
        """Ask a question that a person must answer. Raises `UsageError` where nobody can."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(f"{question} needs an answer", hint="add --yes to agree")
        return self._answer(f"{question} [y/N] ").lower() in {"y", "yes"}

    @property
    def can_type(self) -> bool:
        """Whether somebody is at a terminal who can be asked."""
        return self.interactive and sys.stdin.isatty() and sys.stderr.isatty()

    def ask(self, question: str, *, what: str, hint: str) -> str:
        """Ask for a text. Raises `UsageError` with the hint where nobody can, or wants to."""
        if not self.can_type:
            raise UsageError(f"nobody can be asked here for {what}", hint=hint)
        if answer := self._answer(f"{question} "):
            return answer
        raise UsageError(f"{what} was not given", hint=hint)

    def _answer(self, question: str) -> str:
        with _interruptible():
            print(question, end="", file=sys.stderr, flush=True)
            return sys.stdin.readline().strip()

    def show_qr_code(self, address: str) -> None:
        """Draw it with half blocks, if the terminal is wide enough and can show them."""
        if not sys.stderr.isatty() or "utf" not in (sys.stderr.encoding or "").lower():
            return
        import segno

        code = segno.make(address, error="l")
        if code.symbol_size(border=2)[0] <= shutil.get_terminal_size().columns:
            code.terminal(out=sys.stderr, border=2, compact=True)
