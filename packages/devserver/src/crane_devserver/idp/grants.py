"""The ways to a token, as authlib's grants over the provider's store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc8628 import DeviceCodeGrant

from .models import AuthorizationCode, Client, DeviceRequest, RefreshToken, User

if TYPE_CHECKING:
    from .server import Server

_CODE_SECONDS = 60
_SLOWER_BY = 5
_ALL_METHODS = ["client_secret_basic", "client_secret_post", "none"]


class CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]  # authlib has no types
    """Authorization code (RFC 6749, section 4.1)."""

    TOKEN_ENDPOINT_AUTH_METHODS = _ALL_METHODS
    server: Server

    def save_authorization_code(self, code: str, request: Any) -> None:
        """Keep a new code."""
        data = request.payload.data
        self.server.store.add_code(
            AuthorizationCode(
                code=code,
                client_id=request.client.client_id,
                redirect_uri=data.get("redirect_uri", ""),
                scope=request.scope,
                user=request.user.name,
                expires_at=self.server.store.clock() + _CODE_SECONDS,
                code_challenge=data.get("code_challenge"),
                code_challenge_method=data.get("code_challenge_method"),
                nonce=data.get("nonce"),
            )
        )

    def query_authorization_code(self, code: str, client: Client) -> AuthorizationCode | None:
        """Find a code."""
        return self.server.store.code(code, client.client_id)

    def delete_authorization_code(self, authorization_code: AuthorizationCode) -> None:
        """Forget a code."""
        self.server.store.drop_code(authorization_code)

    def authenticate_user(self, authorization_code: AuthorizationCode) -> User | None:
        """Return who approved."""
        return self.server.store.users.get(authorization_code.user)


class S256Challenge(CodeChallenge):  # type: ignore[misc]  # authlib has no types
    """PKCE with S256 only (RFC 7636), which public clients cannot do without (RFC 9700, 2.1.1)."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: CodeGrant, redirect_uri: str) -> None:
        """Check the authorization request."""
        data = grant.request.payload.data
        if data.get("code_challenge") and data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("Unsupported 'code_challenge_method'")
        if grant.request.client.public and not data.get("code_challenge"):
            raise InvalidRequestError("Missing 'code_challenge'")
        super().validate_code_challenge(grant, redirect_uri)


class DeviceGrant(DeviceCodeGrant):  # type: ignore[misc]  # authlib has no types
    """Device code (RFC 8628, section 3.4)."""

    TOKEN_ENDPOINT_AUTH_METHODS = _ALL_METHODS
    server: Server

    def query_device_credential(self, device_code: str) -> DeviceRequest:
        """Find a device request."""
        device = self.server.store.device(device_code)
        if device is None:
            raise InvalidGrantError("The device code is unknown or was used")
        return device

    def query_user_grant(self, user_code: str) -> tuple[User | None, bool] | None:
        """Return who decided, and whether they approved."""
        device = self.server.store.decided(user_code)
        if device is None:
            return None
        user = self.server.store.users.get(device.user or "")
        return user, not device.denied

    def should_slow_down(self, credential: DeviceRequest) -> bool:
        """Tell whether the device asks too often; each time it does, it must wait longer."""
        now = self.server.store.clock()
        last, credential.last_poll = credential.last_poll, now
        if last is None or now - last >= credential.interval:
            return False
        credential.interval += _SLOWER_BY
        return True

    def create_token_response(self) -> Any:
        """Issue the token, for which the device code is good only once."""
        response = super().create_token_response()
        self.server.store.drop_device(self.request.credential)
        return response


class RefreshGrant(grants.RefreshTokenGrant):  # type: ignore[misc]  # authlib has no types
    """Refresh token (RFC 6749, section 6), with rotation (RFC 9700, section 4.14.2)."""

    TOKEN_ENDPOINT_AUTH_METHODS = _ALL_METHODS
    server: Server

    @property
    def INCLUDE_NEW_REFRESH_TOKEN(self) -> bool:  # noqa: N802  # authlib's name
        """Whether the answer brings a new refresh token."""
        return self.server.settings.rotate

    def authenticate_refresh_token(self, refresh_token: str) -> RefreshToken | None:
        """Find a refresh token that is good."""
        return self.server.store.usable_refresh(refresh_token)

    def authenticate_user(self, refresh_token: RefreshToken) -> User | None:
        """Return whose grant it is."""
        return self.server.store.users.get(refresh_token.grant.user)

    def revoke_old_credential(self, refresh_token: RefreshToken) -> None:
        """Mark the old token as used, where there is a new one."""
        refresh_token.used = self.server.settings.rotate


class CredentialsGrant(grants.ClientCredentialsGrant):  # type: ignore[misc]  # authlib has no types
    """Client credentials (RFC 6749, section 4.4)."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")
