"""What a check has found: one line for people, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crane_core.errors import CraneError

MARKS = {"good": "✓", "warning": "!", "bad": "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of an answer; `fix` is empty where nothing is to be done.

    `exit_code` is that of the command, if this is the first that is bad.
    """

    state: str
    text: str
    fix: str = ""
    exit_code: int = 1

    @property
    def line(self) -> str:
        """The line for people."""
        fix = f"; {self.fix}" if self.fix else ""
        return f"{MARKS[self.state]} {self.text}{fix}"

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` shows of it."""
        return {"state": self.state, "text": self.text, "fix": self.fix}


def good(text: str) -> Finding:
    """Return a line about what is as it should be."""
    return Finding("good", text)


def warning(text: str, fix: str = "") -> Finding:
    """Return a line about what works, but not as well as it could."""
    return Finding("warning", text, fix)


def failed(what: str, error: CraneError) -> Finding:
    """Return the line for an error of ours."""
    return Finding("bad", f"{what}: {error.message}", error.hint or "", error.exit_code)
