"""What every login, refresh and logout works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.auth.choose import Chooser
from crane_core.auth.credentials import client_authentication
from crane_core.auth.grants.model import GrantRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.auth.client_authentication import ClientAuthentication
    from crane_core.auth.model import Prompt, ProviderMetadata
    from crane_core.auth.sessions import SessionStore
    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.http import Client, Clients


@dataclass(frozen=True, slots=True)
class AuthContext:
    """The user's sessions, clients, clock, prompt and environment."""

    store: SessionStore
    clients: Clients
    clock: Clock
    prompt: Prompt
    environ: Mapping[str, str]

    @property
    def chooser(self) -> Chooser:
        """What decides about grants."""
        return Chooser(self.environ, self.store.vault, self.prompt)

    def client(self, index: Index) -> Client:
        """Return the HTTP client for this index and its provider."""
        return self.clients.using(index.tls)

    def authentication(self, index: Index, provider: ProviderMetadata) -> ClientAuthentication:
        """Return how the index's client proves itself."""
        return client_authentication(index, provider, self.environ, self.store.vault, self.clock)

    def request(self, index: Index, provider: ProviderMetadata) -> GrantRequest:
        """Return what a grant is given."""
        return GrantRequest(
            index=index,
            provider=provider,
            authentication=self.authentication(index, provider),
            client=self.client(index),
            clock=self.clock,
            prompt=self.prompt,
            environ=self.environ,
        )
