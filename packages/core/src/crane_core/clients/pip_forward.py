"""What pip is given on the forward route: a view of its own, and the way there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crane_core.clients.child_environment import CHANGED, own_proxies
from crane_core.clients.pip import proxy_variables, registered_index
from crane_core.gateway.views import Wish
from crane_core.urls import names_index

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.clients.pip import Indexes
    from crane_core.config.model import Configuration, Index

PIP_PROXY = "PIP_PROXY"
DIRECT = {"no": ""}  # for a `Wish`: no proxy, not even that of pip's files


def way_out(environ: Mapping[str, str], proxy: str | None) -> dict[str, str]:
    """Return the user's environment with pip's own proxy as everybody's.

    So it is the agent's too, and stands behind our own for pip: `--proxy` and PIP_PROXY would
    stand before it.
    """
    result = {name: value for name, value in environ.items() if name != PIP_PROXY}
    return result | (proxy_variables(proxy) if proxy else {})


def registered_of(configuration: Configuration, indexes: Indexes) -> list[Index]:
    """Return the registered indexes of a command, in the order in which they own names."""
    found = {indexes.index.name: indexes.index}
    for url in indexes.beside:
        if index := registered_index(configuration, url):
            found.setdefault(index.name, index)
    return list(found.values())


def wish_of(
    configuration: Configuration,
    indexes: Indexes,
    environ: Mapping[str, str],
    owner: int,
    *,
    needs_hashes: bool = False,
) -> Wish:
    """Return what a pip command needs; `environ` is how it would have reached the network."""
    others = tuple(url for url in indexes.beside if registered_index(configuration, url) is None)
    fallback = indexes.index.fallback_url
    return Wish(
        indexes=tuple(index.name for index in registered_of(configuration, indexes)),
        others=others,
        # One that the command names itself needs no second URL.
        serves_fallback=fallback is not None
        and not any(names_index(url, fallback) for url in others),
        proxies=own_proxies(environ) or DIRECT,
        owner=owner,
        needs_hashes=needs_hashes,
    )


def pip_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a pip from that of any child of a view.

    PIP_PROXY leads every request to us, those to this machine too (NO_PROXY does not count for
    it), which we refuse; and pip 26 hands it on to the pip of build isolation as an argument, for
    `ps` to show.
    """
    child = {name: value for name, value in environ.items() if name != PIP_PROXY}
    return {**child, CHANGED: " ".join(n for n in child[CHANGED].split() if n != PIP_PROXY)}
