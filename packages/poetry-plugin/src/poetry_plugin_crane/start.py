"""The plugin's start, which does little: all else waits until there is a request to be sent.

A project whose only source is PyPI never gets further than a look whether indexes are registered.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from poetry_plugin_crane.sources import Sources

if TYPE_CHECKING:
    from cleo.io.io import IO
    from poetry.console.application import Application
    from poetry.poetry import Poetry

    from crane_core.errors import CraneError
    from crane_core.platform import Paths
    from poetry_plugin_crane.person import PoetryPerson
    from poetry_plugin_crane.route import Route

logger = logging.getLogger(__name__)


class Start:
    """What this process knows of Poetry's projects, and the route once it is needed."""

    def __init__(self) -> None:
        self.sources = Sources()
        self._io: IO | None = None
        self._route: Route | None = None
        self._is_loaded = self._is_patched = self._has_detour = False
        self._needs_detour = False  # this Poetry's inside is not as we know it
        # What opened projects say of their index themselves.
        self._claims: list[tuple[dict[str, Any], Poetry]] = []
        # Why there is no way to a registered index.
        self._trouble: CraneError | None = None

    def set_up(self, application: Application | None = None) -> None:
        """Add the commands, and stand beside Poetry's sessions if indexes are registered."""
        from poetry_plugin_crane import poetry_internals

        if application is not None:
            poetry_internals.add_commands(application)
            poetry_internals.on_command(application, self._before, self._after_opening)
        if not self._is_loaded:
            logger.debug("crane is loaded")
            self._is_loaded = True
        if self._is_patched or not _paths().config_file.exists():
            return
        if poetry_internals.unknown_shape() is None:
            poetry_internals.patch(self.sources, self.mount)
        else:
            self._needs_detour = True
        self._is_patched = True

    def open_project(self, poetry: Poetry, io: IO) -> None:
        """Note what a project works with."""
        from poetry_plugin_crane import poetry_internals

        self.set_up()  # a program that opens projects by Poetry's API has not loaded the other one
        self._io = io
        if self._route is not None:
            self._route.poetry.io = io
        for name, url in poetry_internals.sources_of(poetry):
            self.sources.add(name, url)
        self.sources.add_project(lambda: poetry_internals.bound_names(poetry))
        logger.debug("crane knows the sources of %s", poetry.package.name)
        if table := poetry_internals.crane_table(poetry):
            self._claims.append((table, poetry))
        if self._is_patched and self.sources.has_own:
            self._tell_or_detour()

    def mount(self, session: Any) -> None:
        """Let a session of Poetry's send through crane what belongs there."""
        from poetry_plugin_crane.adapters import mount

        route = self.route()
        if route is not None:
            mount(session, route)

    def route(self) -> Route | None:
        """Return the route, None if no index is registered."""
        if self._route is None:
            from crane_core.clients.registered import read_registered
            from poetry_plugin_crane.route import Route

            registered = read_registered(_paths(), os.environ)
            if registered.is_empty:
                return None
            self._route = Route(registered, self.sources, _person(self._io))
        return self._route

    def _tell_or_detour(self) -> None:
        route = self.route()
        if route is None or self._trouble is not None:
            return
        trouble = route.registered.trouble if route.doubtful() else None
        if trouble is not None:
            route.person.notice(trouble.line)
        if self._needs_detour and not self._has_detour and (trouble or route.used()):
            self._take_detour(route, trouble)

    def _take_detour(self, route: Route, trouble: CraneError | None) -> None:
        """Let Poetry go by proxy variables, which requests reads anew for each request.

        Without a way it would look for private names elsewhere. So it reaches nobody then, and
        the commands that resolve end with the reason.
        """
        from crane_core.clients.detour import lead_nowhere, take_detour
        from crane_core.errors import CraneError

        try:
            if trouble is not None:
                raise trouble
            route.logins.ask_early(route.used())
            take_detour(route)
            self._has_detour = True
        except CraneError as error:
            lead_nowhere()
            self._trouble = error
            if trouble is None:
                route.person.notice(error.line)

    def _before(self, command: str, io: IO) -> None:
        self._io = io
        if self._route is not None:
            self._route.poetry.io = io
        if command == "publish" and self._is_patched:
            from poetry_plugin_crane import poetry_internals

            if not poetry_internals.patch_uploads(self.mount):
                self._needs_detour = True

    def _after_opening(self, command: str) -> None:
        """Ask what has to be asked, now that Poetry has opened the project and has drawn nothing.

        A login is asked for early only where nobody has ever logged in; who might be refused is
        found out by the first request.
        """
        from poetry_plugin_crane import poetry_internals

        if command not in poetry_internals.RESOLVING:
            return
        if not self._claims and not (self._is_patched and self.sources.has_own):
            return
        from crane_core.errors import CraneError

        if self._trouble is not None:
            raise poetry_internals.trouble(self._trouble) from None
        try:
            for table, poetry in self._claims:
                self._hear(table, poetry)
            self._claims.clear()
            route = self.route()
            if route is not None and (used := route.used()):
                route.logins.ask_early(used)
        except CraneError as error:
            raise poetry_internals.trouble(error) from None
        if self._has_detour and route is not None:
            # Poetry itself would not tell why the index refuses it.
            try:
                route.require_logins()
            except CraneError as error:
                route.person.notice(error.line)

    def _hear(self, table: dict[str, Any], poetry: Poetry) -> None:
        """Register what a project says of its index, if that is a source and a person agrees."""
        from crane_core.clients.checkout import claimed_index
        from crane_core.clients.registered import read_registered
        from crane_core.clients.trusting import trust
        from crane_core.urls import names_index
        from poetry_plugin_crane import poetry_internals

        registered = read_registered(_paths(), os.environ)
        index = claimed_index(table, registered.configuration)
        urls = [url for _, url in poetry_internals.sources_of(poetry)]
        if index is None or not any(names_index(url, index.url) for url in urls):
            return
        trust(index, registered.paths, _person(self._io))
        if self._route is not None:
            self._route.use(read_registered(_paths(), os.environ))
        self.set_up()


def _paths() -> Paths:
    from crane_core.platform import user_paths

    return user_paths(os.environ)


def _person(io: IO | None) -> PoetryPerson:
    from poetry_plugin_crane.person import PoetryPerson

    person = PoetryPerson(os.environ)
    person.io = io
    return person


_start = Start()


def set_up(application: Application) -> None:
    """Set up the plugin for Poetry's console."""
    _start.set_up(application)


def open_project(poetry: Poetry, io: IO) -> None:
    """Note what a project works with."""
    _start.open_project(poetry, io)
