"""Which requests of this process go through crane: for sessions, and with Poetry's own cache.

See docs/decisions/0013-poetry-plugin.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from crane_core.clients.project_route import ProjectRoute, release_at
from crane_core.urls import origin_of

if TYPE_CHECKING:
    from crane_core.clients.registered import Registered
    from poetry_plugin_crane.person import PoetryPerson
    from poetry_plugin_crane.sources import Sources


class Route(ProjectRoute):
    """Decides by the sources of the projects that this process works on."""

    def __init__(self, registered: Registered, sources: Sources, person: PoetryPerson) -> None:
        super().__init__(registered, sources, person)
        self.poetry = person
        self._of_poetry = sources

    def origins(self) -> list[str]:
        """Return the beginnings of all URLs that may have to go through crane."""
        known = self.registered.configuration
        found = [str(origin_of(url)) for index in known for url in (index.url, index.upload_base)]
        if self.used() or self.doubtful():
            for url in self._of_poetry.urls:
                parts = urlsplit(url)  # with its login, as Poetry will ask for it
                if parts.scheme in ("http", "https"):
                    found.append(f"{parts.scheme}://{parts.netloc}")
        return [f"{origin}/" for origin in dict.fromkeys(found)]

    def is_to_be_asked(self, url: str) -> bool:
        """Whether a page that Poetry has kept does not count: its name may be private by now."""
        if not self.used() or release_at(url):
            return False
        return self.project_at_others(url) is not None

    def _needs_no_login(self, url: str) -> bool:
        """Let Poetry ask PyPI about a release itself.

        It was found before, or is locked with its hashes: no name is looked for there.
        """
        return release_at(url) is not None and not self.registered_at(url)
