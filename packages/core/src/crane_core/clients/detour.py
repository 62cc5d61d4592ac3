"""The forward route for a tool's own process, and for programs that it starts.

For those of them whose inside is not as we know it, and cannot be reached by their own means.
"""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING

from crane_core.clients.child_environment import MARK
from crane_core.clients.prepared import prepare
from crane_core.gateway.views import Wish

if TYPE_CHECKING:
    from crane_core.clients.prepared import Prepared
    from crane_core.clients.project_route import ProjectRoute

# The port where whatever comes is thrown away (RFC 863). Only root could listen there.
NOWHERE = "http://127.0.0.1:9"


def prepared_for(route: ProjectRoute) -> Prepared:
    """Open a view of what the project uses. Raises a `CraneError`."""
    known = route.registered
    wish = Wish(
        indexes=tuple(index.name for index in route.used()),
        ordered=False,  # the tool says in which order they count
        others=tuple(route.others()),
        owner=os.getpid(),
    )
    return prepare(known.paths, known.environ, wish, notice=route.person.notice)


def take_detour(route: ProjectRoute) -> None:
    """Let this process reach its indexes by proxy variables, as `crane run` would have set them.

    It has to read them whenever it makes a client. Raises a `CraneError`; then nothing is set.
    """
    if MARK in os.environ:
        return  # below `crane run`, or for the second time
    ready = prepared_for(route)
    atexit.register(ready.close)
    os.environ.update(ready.changes)


def lead_nowhere() -> None:
    """Let this process reach no host at all, where it would take private names from elsewhere."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        os.environ[name] = os.environ[name.lower()] = NOWHERE
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ""
