"""The gateway from inside a tool's process: views of its own, opened when they are needed.

Nothing is started before the first request that needs it. All may be called from many threads.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from crane_core.agent.client import AgentLost
from crane_core.errors import CraneError
from crane_core.gateway.views import Wish
from crane_core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crane_core.agent.client import Agent, View
    from crane_core.platform import Paths


@dataclass(frozen=True, slots=True)
class Needs:
    """What the tool works with: registered indexes by name, and URLs of the others beside them.

    `serves_fallback` is as in a `Wish`.
    """

    indexes: tuple[str, ...]
    others: tuple[str, ...] = ()
    serves_fallback: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """How the opened origins are reached.

    `proxy` is the proxy's URL with the view's secret: for the HTTP client's connection, and never
    for a request. `bundle` is the file with the one authority to trust there.
    """

    needs: Needs
    proxy: Secret
    bundle: str
    origins: frozenset[str]


class InProcess:
    """The views of this process."""

    def __init__(
        self, paths: Paths, environ: Mapping[str, str], notice: Callable[[str], None]
    ) -> None:
        self._paths = paths
        self._environ = environ
        self._notice = notice
        self._lock = threading.Lock()
        self._open: dict[Needs, tuple[Way, Agent, View]] = {}
        self._owner = os.getpid()

    def way(self, needs: Needs) -> Way:
        """Return the way of a view with these indexes, opened if need be. Raises `CraneError`."""
        with self._lock:
            found = self._open.get(needs)
            if found is None:
                found = self._open[needs] = self._opened(needs)
            return found[0]

    def renewed(self, way: Way) -> Way:
        """Return another way in place of one that has broken. Raises a `CraneError`."""
        with self._lock:
            found = self._open.get(way.needs)
            # Another thread may have been here first.
            if found is None or found[0] is way:
                if found is not None:
                    del self._open[way.needs]
                    self._close(*found[1:])
                found = self._open[way.needs] = self._opened(way.needs)
            return found[0]

    def logins_needed(self, way: Way) -> Mapping[str, str]:
        """Return the indexes of a way at which somebody has to log in, each with the reason."""
        with self._lock:
            found = self._open.get(way.needs)
            if found is None:
                return {}
            try:
                return found[1].logins_needed(way.needs.indexes)
            except AgentLost:
                return {}  # the next request will tell

    def close(self) -> None:
        """Close all views. The agent would do so when this process ends."""
        if os.getpid() != self._owner:
            return  # a fork's copy: the views are still in use
        with self._lock:
            for _, agent, view in self._open.values():
                self._close(agent, view)
            self._open.clear()

    def _opened(self, needs: Needs) -> tuple[Way, Agent, View]:
        from crane_core.agent.start import open_view
        from crane_core.clients.child_environment import own_proxies
        from crane_core.files import write_private

        wish = Wish(
            indexes=needs.indexes,
            ordered=False,  # the tool has its own order
            others=needs.others,
            serves_fallback=needs.serves_fallback,
            proxies=own_proxies(self._environ),
            owner=self._owner,
        )
        agent, view = open_view(self._paths, self._environ, wish, notice=self._notice)
        try:
            authority = view.opened.authority.encode()
            write_private(Path(view.bundle), authority, durable=False)
        except BaseException:
            self._close(agent, view)
            raise
        opened = view.opened
        secret = quote(opened.secret.reveal(), safe="")
        proxy = Secret(f"http://{opened.name}:{secret}@127.0.0.1:{view.port}")
        return Way(needs, proxy, view.bundle, frozenset(opened.origins)), agent, view

    def _close(self, agent: Agent, view: View) -> None:
        with contextlib.suppress(AgentLost, CraneError):
            agent.close_view(view.opened.name, self._owner)
        agent.close()
