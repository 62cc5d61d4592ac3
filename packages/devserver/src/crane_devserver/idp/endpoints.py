"""Device authorization (RFC 8628) and revocation (RFC 7009)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import UnauthorizedClientError
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint

from .models import DEVICE, DeviceRequest, RefreshToken

if TYPE_CHECKING:
    from .server import Server

_ALL_METHODS = ["client_secret_basic", "client_secret_post", "none"]


class DeviceEndpoint(DeviceAuthorizationEndpoint):  # type: ignore[misc]  # authlib has no types
    """Hands out device and user codes."""

    server: Server

    @property
    def EXPIRES_IN(self) -> int:  # noqa: N802  # authlib's name
        """How long the codes last."""
        return self.server.settings.device_lifetime

    @property
    def INTERVAL(self) -> int:  # noqa: N802  # authlib's name
        """How long a device waits between two polls."""
        return self.server.settings.interval

    def get_verification_uri(self) -> str:
        """Return where the user goes."""
        return f"{self.server.issuer}/device"

    def authenticate_client(self, request: Any) -> Any:
        """Identify the client, which must be one that may use the device grant."""
        client = super().authenticate_client(request)
        if not client.check_grant_type(DEVICE):
            raise UnauthorizedClientError("The client is not allowed to use the device grant")
        return client

    def create_endpoint_response(self, request: Any) -> tuple[int, dict[str, Any], Any]:
        """Answer, without the optional members that are switched off."""
        status, data, headers = super().create_endpoint_response(request)
        settings = self.server.settings
        if not settings.send_interval:
            del data["interval"]
        if not settings.send_complete_uri:
            del data["verification_uri_complete"]
        return status, data, headers

    def save_device_credential(self, client_id: str, scope: str | None, data: Any) -> None:
        """Keep the request."""
        store = self.server.store
        store.add_device(
            DeviceRequest(
                device_code=data["device_code"],
                user_code=data["user_code"],
                client_id=client_id,
                scope=scope or "",
                expires_at=store.clock() + self.EXPIRES_IN,
                interval=self.INTERVAL,
            )
        )


class Revocation(RevocationEndpoint):  # type: ignore[misc]  # authlib has no types
    """Ends the grant a refresh token belongs to.

    Access tokens are self-contained: nothing can take them back before they expire, and
    the answer is 200 all the same (RFC 7009, section 2.2).
    """

    CLIENT_AUTH_METHODS = _ALL_METHODS
    server: Server

    def query_token(self, token_string: str, token_type_hint: str | None) -> RefreshToken | None:
        """Find the refresh token."""
        return self.server.store.refresh(token_string)

    def revoke_token(self, token: RefreshToken, request: Any) -> None:
        """End its grant."""
        token.grant.revoked = True
