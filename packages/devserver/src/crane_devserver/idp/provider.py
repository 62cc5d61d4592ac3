"""The identity provider as an ASGI application."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from crane_devserver.faults import FaultInjector, FaultList
from crane_devserver.records import Recorder, RequestLog

from .adapters import read_request
from .interaction import Interaction
from .metadata import OAUTH, OPENID, metadata
from .models import Client, User, Users
from .server import Server
from .settings import ProviderSettings
from .signing import TokenSigner
from .store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from joserfc.jwk import KeySet
    from starlette.requests import Request

    from crane_devserver.asgi import Receive, Scope, Send

    from .clock import Clock

CRANE_PIP = Client("crane-pip")
"""The public client that Crane set-ups give to installers."""


class IdentityProvider:
    """An OAuth 2.0 and OpenID Connect provider that lives in memory.

    ``users`` maps names to (password, groups). ``path`` is where the issuer lies on its
    host, such as ``/idp``. The issuer is ``issuer`` if given, else it follows from the URL
    the server is reached at (:meth:`served_at`). ``requests`` is the log of what came in,
    ``faults`` what is to go wrong.
    """

    def __init__(
        self,
        users: Users,
        *,
        clients: Iterable[Client] = (CRANE_PIP,),
        settings: ProviderSettings | None = None,
        path: str = "",
        issuer: str | None = None,
        clock: Clock = time.time,
    ) -> None:
        self.settings = settings or ProviderSettings()
        self.requests = RequestLog()
        self.faults = FaultList()
        self._path = path.rstrip("/")
        people = [User(name, secret, frozenset(groups)) for name, (secret, groups) in users.items()]
        self._store = Store(people, clients, clock)
        self._signer = TokenSigner(self.settings, clock)
        self._server = Server(self._store, self.settings, self._signer)
        self._server.issuer = issuer or ""
        self._fixed = issuer is not None
        self._interaction = Interaction(self._server)
        self._app = Recorder(FaultInjector(self._router(), self.faults), self.requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        await self._app(scope, receive, send)

    @property
    def issuer(self) -> str:
        """The issuer identifier, which is known once the provider is served."""
        if not self._server.issuer:
            raise RuntimeError("the issuer is not known: pass issuer= or call served_at()")
        return self._server.issuer

    async def keys_for(self, kid: str | None) -> KeySet:
        """Return the signing keys: the provider is a key source for a server beside it."""
        return self._signer.key_set

    def register(self, client: Client) -> None:
        """Add or replace a client."""
        self._store.clients[client.client_id] = client

    def served_at(self, base_url: str) -> None:
        """Take note of the URL of the host; the issuer lies at ``path`` on it."""
        if not self._fixed:
            self._server.issuer = base_url.rstrip("/") + self._path

    def owns(self, path: str) -> bool:
        """Tell whether a request path is the provider's."""
        return path.startswith(self._path + "/") or path in (
            OAUTH + self._path,
            OPENID + self._path,
        )

    def approve(self, user_code: str, user: str) -> None:
        """Approve a device request as ``user``, without a browser."""
        if user not in self._store.users:
            raise LookupError(f"no user {user!r}")
        self._store.device_for(user_code).user = user

    def deny(self, user_code: str) -> None:
        """Deny a device request."""
        self._store.device_for(user_code).denied = True

    def pending_codes(self) -> list[str]:
        """Return the user codes that wait for a decision, oldest first."""
        return [device.user_code for device in self._store.undecided()]

    def issue_token(
        self,
        user: str,
        *,
        client_id: str = "crane-pip",
        scope: str = "openid",
        lifetime: int | None = None,
    ) -> str:
        """Sign an access token at once; a negative ``lifetime`` makes an expired one."""
        client = self._store.clients[client_id]
        person = self._store.users[user]
        return self._signer.access_token(self.issuer, client, person, scope, lifetime)

    def sign(self, claims: Mapping[str, Any], *, typ: str = "JWT") -> str:
        """Sign any claims with the provider's key."""
        return self._signer.sign(claims, typ=typ)

    def rotate_key(self) -> None:
        """Sign with a new key from now on; tokens of the old one are no longer valid."""
        self._signer.rotate_key()

    def revoke_grants(self, user: str | None = None) -> None:
        """End all grants, or those of one user, as an administrator would."""
        self._store.revoke_grants(user)

    def _router(self) -> Router:
        routes = [
            *self._documents(),
            Route(f"{self._path}/token", self._token, methods=["POST"]),
            Route(f"{self._path}/revoke", self._revoke, methods=["POST"]),
            Route(f"{self._path}/authorize", self._interaction.show_authorize, methods=["GET"]),
            Route(f"{self._path}/authorize", self._interaction.decide_authorize, methods=["POST"]),
        ]
        if self.settings.device_flow:
            routes += self._device_routes()
        return Router(routes=routes, redirect_slashes=False)

    def _documents(self) -> list[Route]:
        # The issuer's path goes behind the well-known part for RFC 8414 and before it for
        # OpenID Connect; clients try both.
        spots = {OAUTH + self._path, self._path + OAUTH, OPENID + self._path, self._path + OPENID}
        found = [Route(spot, self._metadata) for spot in sorted(spots)]
        return [*found, Route(f"{self._path}/jwks", self._jwks)]

    def _device_routes(self) -> list[Route]:
        device = f"{self._path}/device"
        return [
            Route(f"{self._path}/device_authorization", self._device, methods=["POST"]),
            Route(device, self._interaction.show_device, methods=["GET"]),
            Route(device, self._interaction.decide_device, methods=["POST"]),
        ]

    async def _metadata(self, request: Request) -> Response:
        return JSONResponse(metadata(self.issuer, self.settings))

    async def _jwks(self, request: Request) -> Response:
        return JSONResponse(self._signer.public_keys())

    async def _token(self, request: Request) -> Response:
        response: Response = self._server.create_token_response(await read_request(request))
        return response

    async def _device(self, request: Request) -> Response:
        return await self._endpoint("device_authorization", request)

    async def _revoke(self, request: Request) -> Response:
        return await self._endpoint("revocation", request)

    async def _endpoint(self, name: str, request: Request) -> Response:
        oauth = await read_request(request)
        response: Response = self._server.create_endpoint_response(name, oauth)
        return response
