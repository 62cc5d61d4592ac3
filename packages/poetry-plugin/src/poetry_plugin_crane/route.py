"""Which requests of this process go through crane.

A project *uses* a registered index if one of its sources is that index. Then the pages of its
other sources go through crane, too: crane has no page there for a name that the index owns. See
docs/decisions/0013-poetry-plugin.md.
"""

from __future__ import annotations

import atexit
import re
import threading
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from crane_core.clients.view_logins import ViewLogins
from crane_core.errors import InvalidURL
from crane_core.urls import names_index, origin_of, without_login

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crane_core.clients.in_process import InProcess, Needs, Way
    from crane_core.clients.registered import Registered
    from crane_core.config.model import Index
    from poetry_plugin_crane.person import PoetryPerson
    from poetry_plugin_crane.sources import Sources

# PyPI's JSON API, which Poetry asks about one release.
_RELEASE = re.compile(r"/pypi/([^/]+)/[^/]+/json/?")


class Route:
    """Decides by the sources of the projects that this process works on."""

    def __init__(self, registered: Registered, sources: Sources, person: PoetryPerson) -> None:
        self.person = person
        self._sources = sources
        self._lock = threading.Lock()
        self._in_process: InProcess | None = None
        self.use(registered)

    def use(self, registered: Registered) -> None:
        """Go by these settings from now on."""
        self.registered = registered
        self.logins = ViewLogins(registered, self.person)

    # --- what is known of the sources

    def used(self) -> list[Index]:
        """Return the registered indexes that are sources here."""
        return self.registered.configuration.named_by(self._sources.urls)

    def doubtful(self) -> list[str]:
        """Return the sources that may be registered, in a configuration that is broken."""
        return [url for url in self._sources.urls if self.registered.may_name(url)]

    def others(self) -> list[str]:
        """Return the sources that are no registered index, PyPI among them."""
        known = list(self.registered.configuration)
        return [
            url
            for url in self._sources.urls
            if url.startswith(("http://", "https://"))
            and not any(names_index(url, index.url) for index in known)
        ]

    def registered_at(self, url: str) -> list[Index]:
        """Return the registered indexes to which a URL belongs."""
        return [i for i in self.registered.configuration if i.covers(url)]

    # --- what a session asks

    def origins(self) -> list[str]:
        """Return the beginnings of all URLs that may have to go through crane."""
        known = self.registered.configuration
        found = [str(origin_of(url)) for index in known for url in (index.url, index.upload_base)]
        if self.used() or self.doubtful():
            for url in self.others():
                parts = urlsplit(url)
                found.append(f"{parts.scheme}://{parts.netloc}")
        return [f"{origin}/" for origin in dict.fromkeys(found)]

    def is_to_be_asked(self, url: str) -> bool:
        """Whether a page that Poetry has kept does not count: its name may be private by now."""
        if not self.used() or _RELEASE.fullmatch(urlsplit(url).path):
            return False
        return self.project_at_others(url) is not None

    def way(self, url: str) -> Way | None:
        """Return the way of a request, None for Poetry's own.

        Opens a view and asks for a login, if need be. Raises a `CraneError`.
        """
        trouble = self.registered.trouble
        if trouble is not None and self.doubtful():
            raise trouble
        needs = self._needs(url)
        if needs is None or self._is_bound(url):
            return None
        views = self._views()
        way = views.way(needs)
        if str(origin_of(url)) not in way.origins:
            return None
        problem = self.logins.problem(views, way)
        if problem is None:
            return way
        if _RELEASE.fullmatch(urlsplit(url).path) and not self.registered_at(url):
            # It was found before, or is locked with its hashes: no name is looked for here.
            return None
        raise problem

    def renewed(self, way: Way) -> Way:
        """Return a way in place of one that has broken. Raises a `CraneError`."""
        return self._views().renewed(way)

    def has_new_login(self, way: Way) -> bool:
        """After a refusal: whether a login had ended, and there is a new one now."""
        return self.logins.has_changed(self._views(), way)

    def project_at_others(self, url: str) -> str | None:
        """Return the project about which a URL asks a source that is not registered."""
        if found := _RELEASE.fullmatch(urlsplit(url).path):
            return canonicalize_name(unquote(found[1]))
        for other in self.others():
            root = f"{other.rstrip('/')}/"
            name, _, rest = url.removeprefix(root).partition("/")
            if url.startswith(root) and name and not rest:
                return canonicalize_name(unquote(name))
        return None

    # --- how it decides

    def _needs(self, url: str) -> Needs | None:
        from crane_core.clients.in_process import Needs

        used, here = self.used(), self.registered_at(url)
        names = {index.name for index in (*used, *here)}
        others = [without_login(other) for other in self.others()] if used else []
        if not names or not (here or _is_at(url, others)):
            return None
        # In the configuration's order, so that the same needs are the same view.
        chosen = tuple(index.name for index in self.registered.configuration if index.name in names)
        return Needs(chosen, tuple(others))

    def _is_bound(self, url: str) -> bool:
        """Whether the project itself says that this name comes from this source.

        That is no confusion, but the user's word; Poetry takes it from nowhere else then.
        """
        if self.registered_at(url) or (name := self.project_at_others(url)) is None:
            return False
        return _is_at(url, self._sources.bound_to(name))

    def _views(self) -> InProcess:
        with self._lock:
            if self._in_process is None:
                from crane_core.clients.in_process import InProcess

                known = self.registered
                self._in_process = InProcess(known.paths, known.environ, self.person.notice)
                atexit.register(self._in_process.close)
            return self._in_process


def _is_at(url: str, others: Iterable[str]) -> bool:
    try:
        origin = origin_of(url)
        return any(origin_of(other) == origin for other in others)
    except InvalidURL:
        return False
