"""The provider's memory: everything it knows is gone when the process ends."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from .models import AuthorizationCode, Client, DeviceRequest, Grant, RefreshToken, User

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .clock import Clock


class UnknownCodeError(LookupError):
    """No undecided device request has this user code."""


class Store:
    """Users, clients, codes and tokens. Tests use it from their thread, the server from its own."""

    def __init__(self, users: Iterable[User], clients: Iterable[Client], clock: Clock) -> None:
        self.users = {user.name: user for user in users}
        self.clients = {client.client_id: client for client in clients}
        self.clock = clock
        self._codes: dict[str, AuthorizationCode] = {}
        self._devices: dict[str, DeviceRequest] = {}
        self._refresh: dict[str, RefreshToken] = {}
        self._lock = threading.Lock()

    def user_with_password(self, name: str, password: str) -> User | None:
        """Return the user if the password is theirs."""
        user = self.users.get(name)
        return user if user is not None and user.check_password(password) else None

    def add_code(self, code: AuthorizationCode) -> None:
        """Keep an authorization code."""
        self._codes[code.code] = code

    def code(self, value: str, client_id: str) -> AuthorizationCode | None:
        """Return a code that is still good for a client."""
        code = self._codes.get(value)
        if code is None or code.client_id != client_id or code.expires_at < self.clock():
            return None
        return code

    def drop_code(self, code: AuthorizationCode) -> None:
        """Forget a code: it is good for one use."""
        self._codes.pop(code.code, None)

    def add_device(self, device: DeviceRequest) -> None:
        """Keep a device request."""
        with self._lock:
            self._devices[device.device_code] = device

    def device(self, device_code: str) -> DeviceRequest | None:
        """Return a device request, marked if it has expired."""
        device = self._devices.get(device_code)
        if device is not None:
            device.expired = device.expires_at < self.clock()
        return device

    def drop_device(self, device: DeviceRequest) -> None:
        """Forget a device request: it is good for one token."""
        with self._lock:
            self._devices.pop(device.device_code, None)

    def undecided(self) -> list[DeviceRequest]:
        """Return the device requests that wait for somebody, oldest first."""
        with self._lock:
            found = [device for device in self._devices.values() if device.pending]
        return [device for device in found if device.expires_at >= self.clock()]

    def device_for(self, user_code: str) -> DeviceRequest:
        """Return the undecided request with a user code, however it was typed (RFC 8628, 6.1)."""
        wanted = plain_code(user_code)
        for device in self.undecided():
            if plain_code(device.user_code) == wanted:
                return device
        raise UnknownCodeError(f"no pending request has the code {user_code!r}")

    def decided(self, user_code: str) -> DeviceRequest | None:
        """Return the request with a user code if somebody has decided about it."""
        with self._lock:
            found = [d for d in self._devices.values() if d.user_code == user_code]
        return next((device for device in found if not device.pending), None)

    def add_refresh(self, token: RefreshToken) -> None:
        """Keep a refresh token."""
        self._refresh[token.value] = token

    def refresh(self, value: str) -> RefreshToken | None:
        """Return a refresh token, used or not."""
        return self._refresh.get(value)

    def usable_refresh(self, value: str) -> RefreshToken | None:
        """Return a refresh token that is still good.

        One that was used before has been copied by somebody, and it cannot be told who is
        who: the whole grant ends (RFC 9700, section 4.14.2).
        """
        token = self._refresh.get(value)
        if token is None:
            return None
        if token.used:
            token.grant.revoked = True
        expired = token.expires_at is not None and token.expires_at < self.clock()
        return None if token.grant.revoked or expired else token

    def revoke_grants(self, user: str | None = None) -> None:
        """End all grants, or those of one user, as an administrator would."""
        for token in list(self._refresh.values()):
            if user in (None, token.grant.user):
                token.grant.revoked = True


def plain_code(user_code: str) -> str:
    """Return a user code without dashes and spaces, in capitals."""
    return "".join(letter for letter in user_code.upper() if letter.isalnum())


def new_grant(client: Client, user: User) -> Grant:
    """Start a grant."""
    return Grant(client.client_id, user.name)
