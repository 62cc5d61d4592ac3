"""The authorization server: authlib's machinery over the provider's store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749 import AuthorizationServer
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc9207 import IssuerParameter

from .adapters import ServerRequest, ServerResponse, make_response
from .endpoints import DeviceEndpoint, Revocation
from .grants import CodeGrant, CredentialsGrant, DeviceGrant, RefreshGrant, S256Challenge
from .models import Client, RefreshToken, User
from .store import Store, new_grant

if TYPE_CHECKING:
    from .settings import ProviderSettings
    from .signing import TokenSigner

_REFRESH_TOKEN_LENGTH = 48


class IssuerInResponse(IssuerParameter):  # type: ignore[misc]  # authlib has no types
    """Names the issuer in authorization responses, against mix-up (RFC 9207)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self(server)

    def get_issuer(self) -> str:
        """Return the issuer."""
        return self._server.issuer


class Server(AuthorizationServer):  # type: ignore[misc]  # authlib has no types
    """Grants and endpoints put together.

    authlib runs to its end without a break, so one request never sees another's half-done
    rotation: that is all the locking a provider in one event loop needs.
    """

    def __init__(self, store: Store, settings: ProviderSettings, signer: TokenSigner) -> None:
        super().__init__(scopes_supported=list(settings.scopes))
        self.store = store
        self.settings = settings
        self.signer = signer
        self.issuer = ""
        self.issuer_parameter = IssuerInResponse(self)
        self.register_grant(CodeGrant, [S256Challenge(required=True)])
        self.register_grant(RefreshGrant)
        self.register_grant(CredentialsGrant)
        self.register_endpoint(Revocation)
        if settings.device_flow:
            self.register_grant(DeviceGrant)
            self.register_endpoint(DeviceEndpoint)
        self.register_token_generator("default", self._generator())

    def _generator(self) -> Any:
        def access(client: Client, grant_type: str, user: User | None, scope: str) -> str:
            return self.signer.access_token(self.issuer, client, user, scope)

        def refresh(client: Client, grant_type: str, user: User | None, scope: str) -> str:
            token: str = generate_token(_REFRESH_TOKEN_LENGTH)
            return token

        def lifetime(client: Client, grant_type: str) -> int:
            return self.settings.access_lifetime

        return BearerTokenGenerator(
            access, refresh if self.settings.refresh_tokens else None, lifetime
        )

    def query_client(self, client_id: str) -> Client | None:
        """Find a client."""
        return self.store.clients.get(client_id)

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        """Keep the refresh token and complete the answer."""
        if "refresh_token" in token:
            self._keep_refresh(token, request)
        if request.user is not None and "openid" in token.get("scope", "").split():
            nonce = getattr(request.authorization_code, "nonce", None)
            token["id_token"] = self.signer.id_token(
                self.issuer, request.client, request.user, nonce
            )

    def _keep_refresh(self, token: dict[str, Any], request: Any) -> None:
        previous: RefreshToken | None = request.refresh_token
        grant = previous.grant if previous else new_grant(request.client, request.user)
        lifetime = self.settings.refresh_lifetime
        expires_at = None if lifetime is None else self.store.clock() + lifetime
        scope = previous.scope if previous else token.get("scope", "")
        self.store.add_refresh(RefreshToken(token["refresh_token"], grant, scope, expires_at))
        if self.settings.send_refresh_expires_in:
            # Keycloak's member, with Keycloak's zero for a token without end.
            token["refresh_expires_in"] = lifetime or 0

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Take authlib's signals, for which nobody here listens."""

    def create_oauth2_request(self, request: ServerRequest) -> ServerRequest:
        """Return the request, which was read already."""
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> ServerResponse:
        """Make a response."""
        return make_response(status, body, headers)
