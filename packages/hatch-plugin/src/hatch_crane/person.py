"""The person in front of Hatch."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, ClassVar

from crane_core.clients.person import is_set
from crane_core.clients.tool_person import ToolPerson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_crane.hatch_internals import Surroundings


class HatchPerson(ToolPerson):
    """Is spoken to on the error output, where no spinner turns meanwhile."""

    commands: ClassVar[str] = "hatch-crane"
    without_us: ClassVar[str] = "Hatch without hatch-crane"

    def __init__(self, environ: Mapping[str, str], around: Surroundings | None = None) -> None:
        super().__init__(environ)
        self._around = around

    @property
    def can_answer(self) -> bool:
        """Whether somebody is there and has not forbidden questions (`--no-interactive`)."""
        if "--no-interactive" in sys.argv:
            return False
        if "HATCH_INTERACTIVE" in os.environ and not is_set(os.environ, "HATCH_INTERACTIVE"):
            return False
        return super().can_answer

    @property
    def can_confirm(self) -> bool:
        """Whether a question can be answered by typing."""
        return self.can_answer and sys.stdin is not None and sys.stdin.isatty()

    def confirm(self, question: str) -> bool:
        """Ask a question; what is not a yes is a no."""
        self.say(f"{question} [y/N]")
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def say(self, text: str) -> None:
        """Show it, even under `--quiet`: without it the user would wait for nothing."""
        if self._around is not None:
            self._around.clear()
        print(text, file=sys.stderr, flush=True)  # noqa: T201

    def verbose(self, text: str) -> None:
        """Say a line under `-v`."""
        if self._around is not None and self._around.is_verbose:
            self.notice(text)
