"""What providers do differently, as settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProviderSettings:
    """The provider's ways. Times are in seconds; the defaults resemble a Keycloak realm.

    ``refresh_lifetime=None`` makes refresh tokens last; ``refresh_tokens=False`` gives
    none at all. ``rotate=False`` keeps the same refresh token over all refreshes.
    ``send_interval``, ``send_complete_uri`` and ``send_refresh_expires_in`` say which
    optional members the answers carry. ``token_type`` is the ``typ`` header of access
    tokens: a Crane server takes ``JWT`` and refuses ``at+jwt`` (RFC 9068).
    """

    access_lifetime: int = 300
    refresh_tokens: bool = True
    refresh_lifetime: int | None = 1800
    rotate: bool = True
    device_flow: bool = True
    device_lifetime: int = 600
    interval: int = 5
    send_interval: bool = True
    send_complete_uri: bool = True
    send_refresh_expires_in: bool = True
    token_type: str = "JWT"  # noqa: S105  # a header value
    audience: str = "crane"
    scopes: tuple[str, ...] = ("openid", "profile", "email", "groups", "offline_access")
