"""Tokens for commands that look and ask nobody to log in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crane_core.auth.broker import Broker
    from crane_core.config.model import Index
    from crane_core.secret import Secret


class StoredTokens:
    """The tokens of stored logins (a `TokenSource`)."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def token(self, index: Index, *, rejected: Secret | None = None) -> Secret:
        """Return a token, refreshed if need be. Raises a `CraneError`."""
        return await self._broker.access_token(index, rejected=rejected)
