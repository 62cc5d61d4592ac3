"""A small identity provider for development and tests, on authlib's server side."""

from __future__ import annotations

from .clock import ManualClock
from .models import Client, User
from .provider import IdentityProvider
from .settings import ProviderSettings

__all__ = ["Client", "IdentityProvider", "ManualClock", "ProviderSettings", "User"]
