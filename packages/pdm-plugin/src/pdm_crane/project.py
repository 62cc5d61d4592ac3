"""The route of PDM's project: what is PDM's own there, and what PDM does not tell by itself."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.clients.project_route import ProjectRoute, names_file
from crane_core.index.announcement import announcement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crane_core.clients.registered import Registered
    from pdm_crane.person import PdmPerson
    from pdm_crane.sources import Sources


@dataclass
class Refusals:
    """What the tool was refused and may have swallowed, by URL."""

    _errors: dict[str, Exception]

    def note(self, url: str, error: Exception) -> None:
        """Keep why a page could not be had. For files the tool tells itself."""
        if not names_file(url):
            self._errors.pop(url, None)  # so that it becomes the last one
            self._errors[url] = error

    def forget(self, url: str) -> None:
        """It was had in the end."""
        self._errors.pop(url, None)

    @property
    def last(self) -> Exception | None:
        """The latest one, None if there is none."""
        return next(reversed(self._errors.values()), None)


class PdmRoute(ProjectRoute):
    """The same for PDM, which has certificates of its own, and swallows what is refused."""

    def __init__(self, registered: Registered, sources: Sources, person: PdmPerson) -> None:
        super().__init__(registered, sources, person)
        self.refusals = Refusals({})
        self._of_pdm = sources
        self._announcements: list[str] = []

    def announce(self, requirements: Iterable[str]) -> None:
        """Tell the index what will be asked for, with the first question.

        Only where there is one that will be asked for all of it: no other is to hear the names.
        """
        if len(self.used()) == 1 and self._of_pdm.is_each_for_all:
            self._announcements = [announcement(requirements)]

    def take_announcement(self, url: str) -> str | None:
        """Return what there is to be told with a question for a page, once."""
        if self._announcements and not names_file(url) and self.registered_at(url):
            with contextlib.suppress(IndexError):  # another thread may have taken it
                return self._announcements.pop()
        return None

    def is_the_tools_own(self, url: str) -> bool:
        """Whether only PDM itself can reach this source, by certificates of its own."""
        return not self.registered_at(url) and self._of_pdm.has_own_certificates(url)
