"""A view, and the environment of its child: all that a command needs before it starts a tool."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from crane_core.agent.client import AgentLost
from crane_core.agent.start import open_view
from crane_core.clients import wgetrc
from crane_core.clients.child_environment import child_environment, own_proxies
from crane_core.clients.pip_files import read_pip_files
from crane_core.clients.trust import make_bundle
from crane_core.errors import CraneError
from crane_core.files import write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crane_core.agent.client import Agent, View
    from crane_core.gateway.views import Wish
    from crane_core.platform import Paths


@dataclass(frozen=True, slots=True)
class Prepared:
    """An open view; `changes` are the variables to set, `environ` the whole environment."""

    agent: Agent
    view: View
    changes: Mapping[str, str]
    environ: Mapping[str, str]
    owner: int | None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the view, or our share in it. The agent would do so when our process ends."""
        with contextlib.suppress(AgentLost, CraneError):
            self.agent.close_view(self.view.opened.name, self.owner)
        self.agent.close()


def prepare(
    paths: Paths,
    environ: Mapping[str, str],
    wish: Wish,
    *,
    notice: Callable[[str], None],
    shared: str | None = None,
    more_trust: str | None = None,
) -> Prepared:
    """Open a view at the agent, and write the file of what its child is to trust.

    `environ` and `shared` are from what `restored` returns. `more_trust` is a file that counts in
    place of the `cert` of pip's configuration, as pip's `--cert` does. A wish without proxies gets
    those of the environment. Raises a `CraneError`.
    """
    files = read_pip_files(environ, Path.home())
    if not wish.proxies:
        wish = replace(wish, proxies=own_proxies(environ, files.proxy))
    wget = wgetrc.read_wgetrc(environ, Path.home())
    # What is broken is said before anything is opened.
    more = (more_trust or files.cert, wgetrc.certificates_of(wget))
    trusted = make_bundle(environ, "", *more)
    join = None if more_trust else shared
    agent, view = open_view(paths, environ, wish, notice=notice, join=join)
    try:
        bundle = Path(view.bundle)
        if not bundle.exists():
            content = view.opened.authority.strip().encode() + b"\n" + trusted
            write_private(bundle, content, durable=False)
            settings = wgetrc.wgetrc_for(wget, view.bundle)
            write_private(Path(wgetrc.wgetrc_beside(view.bundle)), settings, durable=False)
        changes = child_environment(
            environ, view.opened, view.port, view.bundle, pip_proxy=files.proxy
        )
    except BaseException:
        with contextlib.suppress(AgentLost, CraneError):
            agent.close_view(view.opened.name, wish.owner)
        agent.close()
        raise
    return Prepared(agent, view, changes, {**environ, **changes}, wish.owner)
