"""The forward route, for a Poetry whose inside is not as we know it."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING

from crane_core.errors import CraneError

if TYPE_CHECKING:
    from poetry_plugin_crane.route import Route


def take_detour(route: Route) -> None:
    """Let this process reach its indexes by proxy variables, as `crane run` would have set them."""
    from crane_core.clients.child_environment import MARK
    from crane_core.clients.prepared import prepare
    from crane_core.gateway.views import Wish

    if MARK in os.environ:
        return  # below `crane run`, or for the second time
    known = route.registered
    wish = Wish(
        indexes=tuple(index.name for index in route.used()),
        ordered=False,
        others=tuple(route.others()),
        owner=os.getpid(),
    )
    try:
        route.logins.ask_early(route.used())
        ready = prepare(known.paths, known.environ, wish, notice=route.person.notice)
    except CraneError as error:
        route.person.notice(error.line)
        return
    atexit.register(ready.close)
    # requests reads them anew for each request.
    os.environ.update(ready.changes)
