"""A run of pip or uv that Hatch starts: the view it needs, and its environment."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from crane_core.clients.child_environment import own_proxies, restored, without_secrets
from crane_core.clients.pip import private_config
from crane_core.clients.pip_files import read_pip_configuration
from crane_core.clients.pip_forward import DIRECT, pip_environment, way_out
from crane_core.clients.prepared import prepare
from crane_core.clients.uv_indexes import UvCommand
from crane_core.files import write_private
from crane_core.gateway.views import Wish
from crane_core.urls import names_index
from hatch_crane.sources import PipRequest, named_by_uv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crane_core.clients.prepared import Prepared
    from crane_core.clients.project_route import ProjectRoute
    from crane_core.config.model import Index
    from hatch_crane.sources import Named


class Run(Protocol):
    """A run, in the environment that Hatch would start it in."""

    def named(self, folder: Path) -> Named:
        """Return what it names, for a project of this folder."""

    def prepared(self, route: ProjectRoute) -> Prepared:
        """Open its view. Raises a `CraneError`."""

    def environment(self, ready: Prepared, route: ProjectRoute) -> dict[str, str]:
        """Return its environment, without our secrets: it builds what others have written."""


def run_of(arguments: Sequence[str], environ: Mapping[str, str]) -> Run:
    """Return the run of a `pip …` or `uv …`."""
    own = restored(environ).environ  # below `crane run` we go our own way
    if arguments[0] == "uv":
        return UvRun(tuple(arguments[1:]), own)
    return PipRun(tuple(arguments[1:]), own)


class UvRun:
    """A run of uv, as under `crane uv`."""

    def __init__(self, arguments: tuple[str, ...], environ: Mapping[str, str]) -> None:
        self._arguments = arguments
        self._environ = environ

    def named(self, folder: Path) -> Named:
        """Return what it names; uv looks for its settings from where it is started."""
        here = Path.cwd()
        return named_by_uv(self._command(here if folder in here.parents else folder))

    def prepared(self, route: ProjectRoute) -> Prepared:
        """Open a view. uv itself says in which order the indexes count."""
        names = tuple(index.name for index in route.used())
        wish = Wish(names, tuple(route.others()), owner=os.getpid(), ordered=False)
        return prepare(route.registered.paths, self._environ, wish, notice=route.person.notice)

    def environment(self, ready: Prepared, route: ProjectRoute) -> dict[str, str]:
        """Return uv's environment."""
        logins = self._command(Path.cwd()).placeholders(route.registered.configuration)
        return without_secrets({**ready.environ, **logins})

    def _command(self, folder: Path) -> UvCommand:
        return UvCommand(self._arguments, self._environ, folder)


class PipRun:
    """A run of pip, as under `crane pip`."""

    def __init__(self, arguments: tuple[str, ...], environ: Mapping[str, str]) -> None:
        self._configured = read_pip_configuration(environ, Path.home())
        self._request = PipRequest(arguments, environ, self._configured)

    def named(self, folder: Path) -> Named:
        """Return what it names."""
        return self._request.named(folder)

    def prepared(self, route: ProjectRoute) -> Prepared:
        """Open a view, in which the index in PyPI's place answers for its fallback's projects."""
        request, known, others = self._request, route.registered, tuple(route.others())
        environ = way_out(request.environ, request.setting("proxy") or None)
        main = next(iter(known.configuration.named_by([request.main or ""])), None)
        fallback = main.fallback_url if main else None
        wish = Wish(
            indexes=tuple(index.name for index in self._in_order(route)),
            others=others,
            serves_fallback=fallback is not None
            and not any(names_index(url, fallback) for url in others),
            proxies=own_proxies(environ) or DIRECT,
            owner=os.getpid(),
            needs_hashes=request.line.needs_hashes,
        )
        return prepare(known.paths, environ, wish, notice=route.person.notice)

    def environment(self, ready: Prepared, route: ProjectRoute) -> dict[str, str]:
        """Return pip's environment."""
        environ = without_secrets(pip_environment(ready.environ))
        if self._in_files.setting("proxy") or self._in_files.setting("cert"):
            environ["PIP_CONFIG_FILE"] = self._own_config(ready)
        return environ

    def _in_order(self, route: ProjectRoute) -> list[Index]:
        """Return the registered indexes as pip's user names them; what is first owns a name."""
        urls = self._request.indexes
        return sorted(
            route.used(),
            key=lambda index: next(
                (n for n, url in enumerate(urls) if names_index(url, index.url)), len(urls)
            ),
        )

    @cached_property
    def _in_files(self) -> PipRequest:
        """What pip's files alone say."""
        return replace(self._request, environ={})

    def _own_config(self, ready: Prepared) -> str:
        """Write a configuration file that says what pip's own ones do, but for the network.

        A proxy there would beat HTTPS_PROXY, and PIP_PROXY would show in `ps`. The agent removes
        the file with the view.
        """
        values = {"proxy": "", "cert": ready.view.bundle}
        text = private_config(self._configured, self._request.line.command, values)
        path = Path(ready.view.bundle).with_suffix(".pip.conf")
        write_private(path, text.encode(), durable=False)
        return str(path)
