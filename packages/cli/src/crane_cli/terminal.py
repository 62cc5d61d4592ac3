"""The person in front of the terminal."""

from __future__ import annotations

import shutil
import sys

from crane_core.clients.person import Person
from crane_core.errors import UsageError


class TerminalPrompt(Person):
    """Talks on stderr, so that stdout stays the tool's own."""

    def say(self, text: str) -> None:
        """Print it."""
        print(text, file=sys.stderr, flush=True)

    def confirm(self, question: str) -> bool:
        """Ask a question that a person must answer. Raises `UsageError` where nobody can."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(f"{question} needs an answer", hint="add --yes to agree")
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def show_qr_code(self, address: str) -> None:
        """Draw it with half blocks, if the terminal is wide enough and can show them."""
        if not sys.stderr.isatty() or "utf" not in (sys.stderr.encoding or "").lower():
            return
        import segno

        code = segno.make(address, error="l")
        if code.symbol_size(border=2)[0] <= shutil.get_terminal_size().columns:
            code.terminal(out=sys.stderr, border=2, compact=True)
