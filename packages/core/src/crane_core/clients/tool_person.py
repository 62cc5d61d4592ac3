"""The person in front of a tool that has loaded us as a plugin."""

from __future__ import annotations

from typing import ClassVar

from crane_core.clients.person import Person


class ToolPerson(Person):
    """A person who is reached by the tool's own means."""

    commands: ClassVar[str]  # how our commands are called in the tool: "pdm crane"
    without_us: ClassVar[str]  # how the tool goes on without crane

    @property
    def can_confirm(self) -> bool:
        """Whether a question can be answered by typing."""
        raise NotImplementedError

    def confirm(self, question: str) -> bool:
        """Ask a question; what is not a yes is a no."""
        raise NotImplementedError

    def verbose(self, text: str) -> None:
        """Say a line, if the tool was told to be verbose."""
        raise NotImplementedError
