"""The way of what Hatch installs with: pip and uv get the environment of `crane run`.

A command that names no registered index never gets further than a look at what it names, and
without any registered index not even as far as that.
"""

from __future__ import annotations

import contextlib
import functools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from crane_core.clients.project_route import ProjectRoute
    from crane_core.clients.registered import Registered
    from crane_core.platform import Paths
    from hatch_crane.hatch_internals import Surroundings
    from hatch_crane.person import HatchPerson
    from hatch_crane.sources import Named


class Route:
    """What this process knows of the user's indexes, and the ways there.

    `environ` is the user's environment as Hatch was started in it. What a project puts into its
    commands' environments says which indexes they ask, and nothing of who logs in where.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = dict(environ)
        self._registered: Registered | None = None
        self._routes: dict[tuple[str, ...], ProjectRoute] = {}
        self._is_heard = False

    @contextlib.contextmanager
    def around(
        self, arguments: Sequence[str], environ: Mapping[str, str], around: Surroundings
    ) -> Iterator[dict[str, str] | None]:
        """Yield the environment for a `pip …` or `uv pip …`, None for the one that it has.

        Asks for a login, if need be. Raises a `CraneError`.
        """
        if not self._may_concern(around.folder, arguments, environ):
            yield None
            return
        from hatch_crane.runs import run_of

        run = run_of(arguments, environ)
        route = self._project_route(run.named(around.folder), around)
        if not route.used() and not route.doubtful():
            yield None
            return
        route.require_logins()
        with run.prepared(route) as ready:
            yield run.environment(ready, route)

    # --- what is known

    @functools.cached_property
    def paths(self) -> Paths:
        """The user's folders, whatever a project's variables say of them at the moment."""
        from crane_core.platform import user_paths

        with _variables(self.environ):
            return user_paths(self.environ)

    @property
    def registered(self) -> Registered:
        """The registered indexes."""
        if self._registered is None:
            from crane_core.clients.registered import read_registered

            self._registered = read_registered(self.paths, self.environ)
        return self._registered

    def names_registered(self, folder: Path) -> bool:
        """Whether a project seems to name a registered index, wherever."""
        if not self._may_concern(folder, (), self.environ):
            return False
        from pathlib import Path as AnyPath

        from crane_core.clients.pip_files import read_pip_configuration
        from hatch_crane.sources import named_by_project

        configured = read_pip_configuration(self.environ, AnyPath.home())
        urls = named_by_project(folder, self.environ, configured)
        known = self.registered
        return bool(known.configuration.named_by(urls)) or any(map(known.may_name, urls))

    def _may_concern(
        self, folder: Path, arguments: Sequence[str], environ: Mapping[str, str]
    ) -> bool:
        """Whether to look any closer, which costs what a whole small project takes."""
        from hatch_crane import glance

        hosts = glance.registered_hosts(self.paths.config_file)
        if hosts is None or (hosts and glance.mentions(hosts, folder, arguments, environ)):
            return True
        return "crane" in glance.text(folder / "pyproject.toml") and bool(crane_table(folder))

    def _project_route(self, named: Named, around: Surroundings) -> ProjectRoute:
        """Return the route of these sources; a project that names an index is heard first."""
        from crane_core.clients.project_route import ProjectRoute
        from hatch_crane.person import HatchPerson

        person = HatchPerson(self.environ, around)
        if not self._is_heard:
            self._hear(named, around.folder, person)
        sources = named.sources(self.registered.configuration)
        if sources.urls not in self._routes:
            self._routes[sources.urls] = ProjectRoute(self.registered, sources, person)
        return self._routes[sources.urls]

    def _hear(self, named: Named, folder: Path, person: HatchPerson) -> None:
        """Register what a project says of its index, if it is asked now and a person agrees."""
        from crane_core.clients.checkout import claimed_index
        from crane_core.clients.trusting import trust
        from crane_core.urls import names_index, within

        table = crane_table(folder)
        if not table or self.registered.trouble is not None:
            return
        index = claimed_index(table, self.registered.configuration)
        if index is None or not (
            any(names_index(url, index.url) for url in named.indexes)
            or any(within(url, index.token_prefix) for url in named.files)
        ):
            return
        trust(index, self.registered.paths, person)
        self._is_heard, self._registered = True, None


@contextlib.contextmanager
def _variables(environ: Mapping[str, str]) -> Iterator[None]:
    """Let this process have these variables; Hatch has no second thread."""
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(environ)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def crane_table(folder: Path) -> dict[str, object]:
    """Return what a project's pyproject.toml says in `[tool.crane]`."""
    from crane_core.clients.uv_indexes import read_toml

    tool = read_toml(folder / "pyproject.toml").get("tool", {})
    table = tool.get("crane", {}) if isinstance(tool, dict) else {}
    return dict(table) if isinstance(table, dict) else {}
