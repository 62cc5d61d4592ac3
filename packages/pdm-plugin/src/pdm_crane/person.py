"""The person in front of PDM, reached by its UI."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, ClassVar

from crane_core.clients.tool_person import ToolPerson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdm.termui import UI


class PdmPerson(ToolPerson):
    """Is spoken to on the error output, above whatever PDM draws there."""

    commands: ClassVar[str] = "pdm crane"
    without_us: ClassVar[str] = "PDM without pdm-crane"

    def __init__(self, environ: Mapping[str, str], ui: UI) -> None:
        super().__init__(environ)
        self._ui = ui

    @property
    def can_answer(self) -> bool:
        """Whether somebody is there and has not forbidden questions (`--non-interactive`)."""
        # PDM sets it in its own process for the option.
        return "PDM_NON_INTERACTIVE" not in os.environ and super().can_answer

    @property
    def can_confirm(self) -> bool:
        """Whether a question can be answered by typing."""
        from pdm.termui import is_interactive

        if not self.can_answer or not is_interactive():
            return False
        return sys.stdin is not None and sys.stdin.isatty()

    def confirm(self, question: str) -> bool:
        """Ask a question; what is not a yes is a no."""
        from pdm import termui
        from rich.markup import escape

        return bool(termui.confirm(escape(question)))

    def say(self, text: str) -> None:
        """Show it, even under `--quiet`: without it the user would wait for nothing."""
        # An address is shown as it is: no markup, no emoji, and no line breaks to copy.
        self._ui.echo(text, err=True, markup=False, emoji=False, soft_wrap=True)

    def verbose(self, text: str) -> None:
        """Say a line under `-v`."""
        if self._ui.verbosity >= 1:
            self.notice(text)
