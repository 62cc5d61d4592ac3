"""What Poetry has told of the projects that this process works on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PYPI = "pypi"  # the name of Poetry's own source


class Sources:
    """The sources by name, and which projects are bound to one of them."""

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}
        self._projects: list[Callable[[], Mapping[str, str]]] = []
        self._lock = threading.Lock()

    def add(self, name: str, url: str) -> None:
        """Note a source; an index may be one under several names."""
        with self._lock:
            # A new dictionary, since other threads may go through the old one.
            self._urls = {**self._urls, name.lower(): url}

    def add_project(self, bound: Callable[[], Mapping[str, str]]) -> None:
        """Note how to find what a project takes from one source only: its source by name.

        A function, since commands such as `poetry add` change the project.
        """
        self._projects.append(bound)

    @property
    def urls(self) -> list[str]:
        """The URLs of all sources."""
        return list(self._urls.values())

    @property
    def has_own(self) -> bool:
        """Whether there is one beside PyPI."""
        return any(name != PYPI for name in self._urls)

    def is_bound(self, project: str, url: str) -> bool:
        """Whether a project binds this normalised name to the source at this URL."""
        from crane_core.clients.project_route import is_at

        names = (bound().get(project) for bound in self._projects)
        found = (self._urls.get(name.lower()) for name in names if name)
        return is_at(url, [source for source in found if source is not None])
