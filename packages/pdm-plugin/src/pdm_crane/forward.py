"""The forward route: for uv, which PDM may start, and for a PDM whose inside we do not know."""

from __future__ import annotations

import atexit
import contextlib
import os
from typing import TYPE_CHECKING

from crane_core.clients.child_environment import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crane_core.clients.prepared import Prepared
    from crane_core.clients.project_route import ProjectRoute


@contextlib.contextmanager
def forwarded(route: ProjectRoute) -> Iterator[None]:
    """Give the programs that are started meanwhile the environment of `crane run`.

    They get no tokens or secrets of ours, since they build what others have written. Raises a
    `CraneError`.
    """
    with _prepared(route) as ready:
        before = dict(os.environ)
        os.environ.update(ready.changes)
        for name in os.environ.keys() - without_secrets(os.environ).keys():
            del os.environ[name]
        try:
            yield
        finally:
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)


def take_detour(route: ProjectRoute) -> None:
    """Let this process reach its indexes by proxy variables, as `crane run` would have set them.

    PDM reads them when it makes a client. Raises a `CraneError`.
    """
    from crane_core.clients.child_environment import MARK

    if MARK in os.environ:
        return  # below `crane run`
    ready = _prepared(route)
    atexit.register(ready.close)
    os.environ.update(ready.changes)


def _prepared(route: ProjectRoute) -> Prepared:
    from crane_core.clients.prepared import prepare
    from crane_core.gateway.views import Wish

    wish = Wish(
        indexes=tuple(index.name for index in route.used()),
        ordered=False,  # PDM says in which order they count
        others=tuple(route.others()),
        owner=os.getpid(),
    )
    known = route.registered
    return prepare(known.paths, known.environ, wish, notice=route.person.notice)
