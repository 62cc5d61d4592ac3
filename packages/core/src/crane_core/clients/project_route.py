"""Which requests of a tool's process go through crane, by the sources of its project.

A project *uses* a registered index if one of its sources is that index. Then the pages of its
other sources go through crane, too: crane has no page there for a name that the index owns.
"""

from __future__ import annotations

import atexit
import re
import threading
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from crane_core.clients.view_logins import ViewLogins
from crane_core.errors import InvalidURL
from crane_core.urls import names_index, origin_of, without_login

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from crane_core.clients.in_process import InProcess, Needs, Way
    from crane_core.clients.registered import Registered
    from crane_core.clients.tool_person import ToolPerson
    from crane_core.config.model import Index

# PyPI's JSON API about one release.
_RELEASE = re.compile(r"(?:/[^?#]*)?/pypi/([^/]+)/[^/]+/json/?")
_FILE = re.compile(r"\.(whl|zip|egg|tgz|tar(\.\w+)?)(\.metadata)?$", re.IGNORECASE)


class ProjectSources(Protocol):
    """What a tool's project works with."""

    @property
    def urls(self) -> Sequence[str]:
        """The URLs of all sources."""

    def is_bound(self, project: str, url: str) -> bool:
        """Whether the project itself says that this name comes from the source of this URL."""


class ProjectRoute:
    """Decides by the sources of the project that this process works on."""

    def __init__(self, registered: Registered, sources: ProjectSources, person: ToolPerson) -> None:
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
            without_login(url)
            for url in self._sources.urls
            if url.startswith(("http://", "https://"))
            and not any(names_index(url, index.url) for index in known)
        ]

    def registered_at(self, url: str) -> list[Index]:
        """Return the registered indexes to which a URL belongs."""
        return [i for i in self.registered.configuration if i.covers(url)]

    def may_concern(self, url: str) -> bool:
        """Whether a request may have to go through crane; a quick no for all others."""
        if self.registered_at(url):
            return True
        if names_file(url) or not (self.used() or self.doubtful()):
            return False
        return is_at(url, self._sources.urls)

    # --- how a request is sent

    def way(self, url: str) -> Way | None:
        """Return the way of a request, None for the tool's own.

        Opens a view and asks for a login, if need be. Raises a `CraneError`.
        """
        self._require_configuration()
        needs = self._needs(url)
        if needs is None or self._is_bound(url):
            return None
        way = self._views().way(needs)
        if str(origin_of(url)) not in way.origins:
            return None
        problem = self.logins.problem(self._views(), way)
        if problem is None:
            return way
        if self._needs_no_login(url):
            return None
        raise problem

    def require_logins(self) -> None:
        """Ask for the logins of the project's indexes as the first request would.

        Raises a `CraneError`.
        """
        self._require_configuration()
        if used := self.used():
            problem = self.logins.problem(self._views(), self._views().way(self._needs_of(used)))
            if problem is not None:
                raise problem

    def renewed(self, way: Way) -> Way:
        """Return a way in place of one that has broken. Raises a `CraneError`."""
        return self._views().renewed(way)

    def has_new_login(self, way: Way) -> bool:
        """After a refusal: whether a login had ended, and there is a new one now."""
        return self.logins.has_changed(self._views(), way)

    def project_at_others(self, url: str) -> str | None:
        """Return the project about which a URL asks a source that is not registered."""
        if release := release_at(url):
            return release
        for other in self.others():
            if (rest := _below(url, other)) is None:
                continue
            name, _, more = rest.partition("/")
            if name and not more:
                return canonicalize_name(unquote(name))
        return None

    # --- how it decides

    def _require_configuration(self) -> None:
        trouble = self.registered.trouble
        if trouble is not None and self.doubtful():
            raise trouble

    def _needs_no_login(self, url: str) -> bool:
        """Whether the tool may go its own way to this URL while a login is missing."""
        return False

    def _needs(self, url: str) -> Needs | None:
        used, here = self.used(), self.registered_at(url)
        is_page = bool(used) and not names_file(url) and is_at(url, self.others())
        return self._needs_of([*used, *here]) if here or is_page else None

    def _needs_of(self, indexes: Sequence[Index]) -> Needs:
        from crane_core.clients.in_process import Needs

        names = {index.name for index in indexes}
        # In the configuration's order, so that the same needs are the same view.
        chosen = tuple(i.name for i in self.registered.configuration if i.name in names)
        return Needs(chosen, tuple(self.others()) if self.used() else ())

    def _is_bound(self, url: str) -> bool:
        """Whether the project itself says that this name comes from this source.

        That is no confusion, but the user's word; the tool takes it from nowhere else then.
        """
        if self.registered_at(url) or (name := self.project_at_others(url)) is None:
            return False
        return self._sources.is_bound(name, url)

    def _views(self) -> InProcess:
        with self._lock:
            if self._in_process is None:
                from crane_core.clients.in_process import InProcess

                known = self.registered
                self._in_process = InProcess(known.paths, known.environ, self.person.notice)
                atexit.register(self._in_process.close)
            return self._in_process


def release_at(url: str) -> str | None:
    """Return the project about one of whose releases a URL asks PyPI's JSON API."""
    found = _RELEASE.fullmatch(urlsplit(url).path)
    return canonicalize_name(unquote(found[1])) if found else None


def names_file(url: str) -> bool:
    """Whether a URL is that of a distribution or its metadata, by its name."""
    return _FILE.search(_last_segment(url)) is not None


def _last_segment(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


def is_at(url: str, others: Iterable[str]) -> bool:
    """Whether a URL is at the host of one of the others."""
    try:
        origin = origin_of(url)
    except InvalidURL:
        return False
    for other in others:
        try:
            if origin_of(other) == origin:
                return True
        except InvalidURL:
            continue
    return False


def _below(url: str, root: str) -> str | None:
    """Return the path of a URL below a folder, None if it is elsewhere."""
    if not is_at(url, [root]):
        return None
    folder = urlsplit(root).path.rstrip("/") + "/"
    path = urlsplit(url).path
    return path.removeprefix(folder) if path.startswith(folder) else None
