"""Index and identity provider under one address, in one process."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from .asgi import Receive, Scope, Send, raw_path, run_lifespan
from .behaviour import CRANE, Behaviour
from .crane import CraneServer
from .idp.models import Client, Users
from .idp.provider import CRANE_PIP, IdentityProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .faults import FaultList
    from .idp.settings import ProviderSettings
    from .records import RequestLog
    from .repository import Repository


class DevServer:
    """The ASGI application: the provider at ``/idp``, the Crane server everywhere else.

    ``crane`` and ``provider`` are the two parts, each with its own ``requests`` and
    ``faults``; those of the index are also found here.
    """

    def __init__(
        self,
        repositories: Sequence[Repository],
        users: Users,
        *,
        clients: Iterable[Client] = (CRANE_PIP,),
        settings: ProviderSettings | None = None,
        behaviour: Behaviour = CRANE,
        idp_path: str = "/idp",
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not idp_path.startswith("/") or idp_path == "/":
            raise ValueError("idp_path must be a path of its own, such as /idp")
        self.provider = IdentityProvider(
            users, clients=clients, settings=settings, path=idp_path, clock=clock
        )
        self.crane = CraneServer(repositories, keys=self.provider, behaviour=behaviour, clock=clock)
        self.base_url = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request from the part that owns its path."""
        if scope["type"] == "lifespan":
            await run_lifespan(receive, send)
        elif self.provider.owns(raw_path(scope)):
            await self.provider(scope, receive, send)
        else:
            await self.crane(scope, receive, send)

    def served_at(self, base_url: str) -> None:
        """Take note of the URL; issuer and login redirect follow from it."""
        self.base_url = base_url.rstrip("/")
        self.provider.served_at(self.base_url)
        self.crane.issuer = self.provider.issuer
        self.crane.authorize_url = f"{self.provider.issuer}/authorize"
        # The index signs browsers in with a client of its own, as a real one does.
        callback = f"{self.base_url}/login/oauth2/code/crane"
        self.provider.register(
            Client("crane", secret=secrets.token_urlsafe(), redirect_uris=(callback,))
        )

    @property
    def requests(self) -> RequestLog:
        """The index's request log."""
        return self.crane.requests

    @property
    def faults(self) -> FaultList:
        """The index's faults."""
        return self.crane.faults

    def url(self, repository: str, path: str = "") -> str:
        """Return the URL of a path in a repository."""
        return f"{self.base_url}/{repository}/{path}"
