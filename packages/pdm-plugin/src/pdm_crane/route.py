"""The plugin's start, which does little: all else waits until PDM makes a client for a project.

A project without a registered index never gets further than a look whether any is registered.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any

from pdm_crane import pdm_internals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pdm.core import Core
    from pdm.project import Project

    from crane_core.platform import Paths
    from pdm_crane.pages import Pages
    from pdm_crane.person import PdmPerson
    from pdm_crane.project import PdmRoute
    from pdm_crane.sources import Sources

logger = logging.getLogger(__name__)


class Start:
    """What this process knows of PDM's project, and the route once it is needed."""

    def __init__(self) -> None:
        self._sources: Sources | None = None
        self._route: PdmRoute | None = None
        self._person: PdmPerson | None = None
        self.pages: Pages | None = None
        self._is_heard = self._is_suspended = self._has_detour = False

    def set_up(self, core: Core) -> None:
        """Stand beside PDM's clients and its uv, and add the commands."""
        pdm_internals.add_command(core)
        pdm_internals.before_commands(self.before)
        pdm_internals.patch(self)
        core.exit_stack.push(self.after)
        logger.debug("crane is loaded")

    # --- what PDM does

    def before(self, command: str | None, project: Project) -> None:
        """Ask what has to be asked, before PDM draws its progress.

        A login is asked for early only where nobody has ever logged in; who might be refused is
        found out by the first request.
        """
        if command not in pdm_internals.RESOLVING:
            return
        with pdm_internals.readable():
            route = self.route(project)
            if route is None or not (used := route.used()):
                return
            if pdm_internals.unknown_shape():
                self.detour(project)
            route.logins.ask_early(used)
            if command == "lock":  # the others may keep to what is locked, and ask for little
                route.announce(pdm_internals.requirements_of(project))

    def client_made_for(self, project: Project) -> PdmRoute | None:
        """Return the route of a project whose client is about to be made; None if it has none."""
        if self._is_suspended:
            return None
        with pdm_internals.readable():
            return self.route(project)

    def detour(self, project: Project) -> None:
        """Let this process go through crane by proxy variables, for good."""
        route = None if self._has_detour else self.route(project)
        if route is not None and route.used():
            from crane_core.clients.detour import take_detour

            self._has_detour = True
            take_detour(route)

    @contextlib.contextmanager
    def forwarded(self, project: Project) -> Iterator[None]:
        """Let the programs that PDM starts go through crane, where the project uses it."""
        with pdm_internals.readable(), contextlib.ExitStack() as stack:
            route = self.route(project)
            if route is not None and (route.used() or route.doubtful()):
                from pdm_crane.forward import forwarded

                route.require_logins()
                stack.enter_context(forwarded(route))
            yield

    def require_logins(self, project: Project) -> None:
        """Ask for the logins of a project's indexes now; what is wrong ends the command."""
        with pdm_internals.readable():
            route = self.route(project)
            if route is not None:
                route.require_logins()

    def is_registered(self, url: str) -> bool:
        """Whether a URL belongs to a registered index, as far as one has been needed."""
        return self._route is not None and bool(self._route.registered_at(url))

    def takes_upload(self, url: str) -> bool:
        """Whether an upload goes to a registered index, which takes no password of PDM's.

        A login is asked for before PDM draws its progress; what is wrong ends the command.
        """
        if self._route is None or not self.is_registered(url):
            return False
        with pdm_internals.readable():
            self._route.way(url)
        return True

    @property
    def swallowed(self) -> Exception | None:
        """What the tool was refused last, and may not have told."""
        return self._route.refusals.last if self._route is not None else None

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Keep out of PDM's look for a newer PDM, which is no work on the project."""
        self._is_suspended = True
        try:
            yield
        finally:
            self._is_suspended = False

    @property
    def is_suspended(self) -> bool:
        """Whether requests are none of ours at the moment."""
        return self._is_suspended

    def has_read(self, projects: Iterable[str]) -> bool:
        """Whether this process has been given all pages that there are of these projects.

        Of several sources most have no page of a project, which has to be asked each time.
        """
        if self.pages is None or self._sources is None or len(self._sources.urls) != 1:
            return False
        return self.pages.has_all(projects)

    def after(self, kind: type[BaseException] | None, *_: object) -> None:
        """At PDM's end: tell what its threads have swallowed, and let the command fail."""
        if kind is None and (error := self.swallowed) is not None and self._person is not None:
            self._person.notice(str(error).removeprefix("crane: "))
            raise SystemExit(1)

    # --- what is known

    def route(self, project: Project) -> PdmRoute | None:
        """Return the route of a project, None if no index is registered.

        A project that names an index itself is heard first. Raises a `CraneError`.
        """
        table = pdm_internals.crane_table(project)
        if self._route is None and not table and not _paths().config_file.exists():
            return None
        from crane_core.clients.registered import read_registered
        from pdm_crane.person import PdmPerson
        from pdm_crane.project import PdmRoute
        from pdm_crane.sources import Sources

        if self._person is None:
            self._person = PdmPerson(os.environ, project.core.ui)
        if self._sources is None:
            self._sources = Sources()
        self._sources.note(pdm_internals.sources_of(project))
        if table and not self._is_heard:
            self._hear(table, project)
            self._is_heard = True
        if self._route is None:
            registered = read_registered(_paths(), os.environ)
            if registered.is_empty:
                return None
            self._route = PdmRoute(registered, self._sources, self._person)
        return self._route

    def _hear(self, table: dict[str, Any], project: Project) -> None:
        """Register what a project says of its index, if that is a source and a person agrees."""
        from crane_core.clients.checkout import claimed_index
        from crane_core.clients.registered import read_registered
        from crane_core.clients.trusting import trust
        from crane_core.urls import names_index

        registered = read_registered(_paths(), os.environ)
        if registered.trouble is not None:
            return
        index = claimed_index(table, registered.configuration)
        urls = [source.url for source in pdm_internals.sources_of(project)]
        if index is None or not any(names_index(url, index.url) for url in urls):
            return
        assert self._person is not None
        trust(index, registered.paths, self._person)
        if self._route is not None:
            self._route.use(read_registered(_paths(), os.environ))


def _paths() -> Paths:
    from crane_core.platform import user_paths

    return user_paths(os.environ)


_start = Start()


def set_up(core: Core) -> None:
    """Set up the plugin for a core of PDM's."""
    _start.set_up(core)
