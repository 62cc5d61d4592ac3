"""The person in front of Poetry, reached by its IO."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, ClassVar

from crane_core.clients.person import is_set
from crane_core.clients.tool_person import ToolPerson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleo.io.io import IO


class PoetryPerson(ToolPerson):
    """Is spoken to on the error output, as `--no-ansi` and the like have it."""

    commands: ClassVar[str] = "poetry crane"
    without_us: ClassVar[str] = "poetry --no-plugins"

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(environ)
        self.io: IO | None = None

    @property
    def can_answer(self) -> bool:
        """Whether somebody is there and has not forbidden questions.

        A login needs a browser and no stdin. So it is not asked whether that is a terminal, by
        which some versions of Poetry tell whether they are interactive.
        """
        if self.io is None or is_set(self._environ, "POETRY_NO_INTERACTION"):
            return False
        if self.io.input.has_parameter_option(["--no-interaction", "-n"], only_params=True):
            return False
        return super().can_answer

    @property
    def can_confirm(self) -> bool:
        """Whether a question can be answered by typing.

        Poetry may count as interactive where stdin is no terminal; it would ask without end then.
        """
        if self.io is None or not self.can_answer or not self.io.is_interactive():
            return False
        return sys.stdin is not None and sys.stdin.isatty()

    def confirm(self, question: str) -> bool:
        """Ask a question; what is not a yes is a no."""
        from cleo.formatters.formatter import Formatter
        from cleo.ui.confirmation_question import ConfirmationQuestion

        asked = ConfirmationQuestion(Formatter.escape(question), default=False)
        return self.io is not None and bool(asked.ask(self.io))

    def say(self, text: str) -> None:
        """Show it, even under `--quiet`: without it the user would wait for nothing."""
        if self.io is not None:
            from cleo.formatters.formatter import Formatter
            from cleo.io.outputs.output import Verbosity

            self.io.write_error_line(Formatter.escape(text), verbosity=Verbosity.QUIET)

    def verbose(self, text: str) -> None:
        """Say a line under `-v`."""
        if self.io is not None and self.io.is_verbose():
            self.notice(text)
