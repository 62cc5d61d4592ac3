"""The person in front of the terminal."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import threading
from typing import TYPE_CHECKING

from crane_core.clients.person import Person
from crane_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


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

    def say(self, text: str) -> None:
        """Print it."""
        print(text, file=sys.stderr, flush=True)

    def confirm(self, question: str) -> bool:
        """Ask a question that a person must answer. Raises `UsageError` where nobody can."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(f"{question} needs an answer", hint="add --yes to agree")
        return self._answer(f"{question} [y/N] ").lower() in {"y", "yes"}

    @property
    def can_type(self) -> bool:
        """Whether somebody is at a terminal who can be asked."""
        return self.interactive and sys.stdin.isatty() and sys.stderr.isatty()

    def ask(self, question: str, *, hint: str) -> str:
        """Ask for a text. Raises `UsageError` with the hint where nobody can, or wants to."""
        answer = self._answer(f"{question} ") if self.can_type else ""
        if not answer:
            raise UsageError(f"{question.rstrip(':')}: not given", hint=hint)
        return answer

    def _answer(self, question: str) -> str:
        print(question, end="", file=sys.stderr, flush=True)
        with _interruptible():
            return sys.stdin.readline().strip()

    def show_qr_code(self, address: str) -> None:
        """Draw it with half blocks, if the terminal is wide enough and can show them."""
        if not sys.stderr.isatty() or "utf" not in (sys.stderr.encoding or "").lower():
            return
        import segno

        code = segno.make(address, error="l")
        if code.symbol_size(border=2)[0] <= shutil.get_terminal_size().columns:
            code.terminal(out=sys.stderr, border=2, compact=True)
