"""The sources of PDM's project, as far as a request's way depends on them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.clients.project_route import is_at

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Source:
    """One source; `names` are the projects that it is said to have, by their full names.

    `is_chosen` is one that PDM asks for some projects only.
    """

    url: str
    names: frozenset[str] = frozenset()
    has_own_certificates: bool = False
    is_chosen: bool = False


class Sources:
    """All sources that PDM has made a client for in this process."""

    def __init__(self) -> None:
        self._known: dict[str, Source] = {}

    def note(self, sources: Iterable[Source]) -> None:
        """Note the sources of a project."""
        # A new dictionary, since other threads may go through the old one.
        self._known = {**self._known, **{source.url: source for source in sources}}

    @property
    def urls(self) -> list[str]:
        """The URLs of all sources."""
        return list(self._known)

    def is_bound(self, project: str, url: str) -> bool:
        """Whether `include_packages` of the source at this URL names the project itself.

        Patterns do not count: `*` for PyPI is no word about any private name.
        """
        return any(project in source.names for source in self._at(url))

    @property
    def is_each_for_all(self) -> bool:
        """Whether PDM asks every source for every project."""
        return not any(source.is_chosen for source in self._known.values())

    def has_own_certificates(self, url: str) -> bool:
        """Whether PDM has certificates for this URL that the agent does not have."""
        if any(source.has_own_certificates for source in self._at(url)):
            return True
        named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        return bool(named) and named != os.environ.get("SSL_CERT_FILE")

    def _at(self, url: str) -> list[Source]:
        return [source for source in self._known.values() if is_at(url, [source.url])]
