"""How an upload ends: what the tool is told."""

from __future__ import annotations

from dataclasses import dataclass

TEXT = "text/plain; charset=utf-8"
# For what an index has taken and does not give back: no tool repeats it, or takes it for there.
UNCERTAIN = 424
FAILED = 502


class UploadRefused(Exception):
    """An upload that is not to be sent on, or that the index has not taken; the text says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an upload.

    `text` is one line for people. `body` is the index's own answer where the tool may look into
    it, else None. `url` is where the file is, where that is known. `problem` is what is wrong with
    a file that is published all the same; the text says it, too.
    """

    status: int
    text: str
    body: bytes | None = None
    content_type: str = TEXT
    url: str | None = None
    problem: str = ""

    @property
    def is_published(self) -> bool:
        """Whether the index has the file now."""
        return 200 <= self.status < 300
