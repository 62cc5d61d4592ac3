"""How the gateway's parts are put together, in the order in which a request meets them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.gateway.app import Gateway, Parts
from crane_core.gateway.guard import Guard, loopback_hosts
from crane_core.gateway.machinery import machinery
from crane_core.gateway.server import serving
from crane_core.gateway.settings import Settings

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import AsyncIterator, Iterable, Mapping

    from crane_core.auth.context import AuthContext
    from crane_core.config.model import Configuration, Index
    from crane_core.gateway.activity import Activity
    from crane_core.gateway.events import Observer
    from crane_core.gateway.front import Control
    from crane_core.gateway.registry import Registry
    from crane_core.gateway.status import Status
    from crane_core.platform import Paths

__all__ = ["Forwarding", "Settings", "forwarding", "gateway"]

USUAL = Settings()


@contextlib.asynccontextmanager
async def gateway(
    auth: AuthContext,
    paths: Paths,
    configuration: Configuration,
    indexes: Iterable[Index],
    guard: Guard,
    observer: Observer,
    beside: Mapping[str, str] | None = None,
    settings: Settings = USUAL,
) -> AsyncIterator[Gateway]:
    """Yield a gateway for these indexes; at the end nothing of it is left running.

    `beside` are further index URLs by name, which answer only for names that the first index
    does not own.
    """
    async with machinery(auth, paths, configuration, observer, settings) as parts:
        builder = parts.builder
        private = {index.name: builder.private_first(index) for index in indexes}
        others = builder.beside(next(iter(private.values())), beside) if beside else {}
        together = (*others, next(iter(private))) if others else ()
        ahead = parts.ahead(
            {**private, **others}, lambda name: together if name in together else (name,)
        )
        try:
            yield Gateway(
                Parts(
                    guard=guard,
                    private=private,
                    beside=others,
                    indexes=builder.reached,
                    ahead=ahead,
                    tools=parts.tools,
                    publishing=parts.publishing,
                    status=parts.status(builder.reached.values(), ahead.statistics),
                )
            )
        finally:
            await ahead.close()


@dataclass(frozen=True, slots=True)
class Forwarding:
    """A gateway for children that reach it as their proxy, through views."""

    views: Registry
    status: Status
    _activity: Activity
    _observer: Observer
    _allowed_uids: frozenset[int] | None

    @contextlib.asynccontextmanager
    async def serve(
        self, listener: socket.socket, control: Control
    ) -> AsyncIterator[asyncio.Task[None]]:
        """Serve on a bound socket of 127.0.0.1; `control` answers requests below `/-/`.

        What reaches `control` has a Host of this listener, comes from no web page and from an
        allowed user; who may do what there is for it to say.
        """
        from crane_core.gateway.front import Front, FrontProtocol

        host, port = listener.getsockname()[:2]
        guard = Guard(
            loopback_hosts(host, port),
            allowed_uids=self._allowed_uids,
            methods=frozenset({"GET", "HEAD", "POST", "DELETE"}),
        )
        front = Front(self.views, control, guard, self._observer, self._activity)
        async with serving(front, listener, FrontProtocol) as task:
            yield task

    def is_idle_since(self) -> float:
        """Return when it was last of use, in seconds since the epoch; now, while it is."""
        return self._activity.idle_since()


@contextlib.asynccontextmanager
async def forwarding(
    auth: AuthContext,
    paths: Paths,
    configuration: Configuration,
    observer: Observer,
    settings: Settings = USUAL,
    *,
    allowed_uids: frozenset[int] | None = None,
) -> AsyncIterator[Forwarding]:
    """Yield a gateway for the forward route; at the end nothing of it is left running."""
    # These import cryptography, of which the other routes have no need.
    from crane_core.gateway.activity import Activity
    from crane_core.gateway.registry import Registry

    async with machinery(auth, paths, configuration, observer, settings) as parts:
        registry = Registry(parts, configuration)
        status = parts.status(configuration, parts.ahead_statistics)
        try:
            yield Forwarding(registry, status, Activity(parts.clock), parts.monitor, allowed_uids)
        finally:
            await registry.close_all()
