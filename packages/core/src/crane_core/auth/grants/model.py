"""What a grant is, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.auth.client_authentication import ClientAuthentication
    from crane_core.auth.endpoint import Answer
    from crane_core.auth.model import Prompt, ProviderMetadata
    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.http import Client


@dataclass(frozen=True, slots=True)
class GrantRequest:
    """A login that is wanted: for which index, at which provider, as which client."""

    index: Index
    provider: ProviderMetadata
    authentication: ClientAuthentication
    client: Client
    clock: Clock
    prompt: Prompt
    environ: Mapping[str, str]

    def extra_parameters(self) -> dict[str, str]:
        """Return scope, audience and resource (RFC 8707) as the registration has them."""
        index = self.index
        wanted = {"scope": index.scope, "audience": index.audience, "resource": index.resource}
        return {name: value for name, value in wanted.items() if value}


class Grant(Protocol):
    """One way to get tokens.

    `interactive` says that a person takes part: such a grant is used by a login only, never to
    renew tokens behind the user's back.
    """

    name: ClassVar[str]
    interactive: ClassVar[bool]

    async def run(self, request: GrantRequest) -> Answer:
        """Return the token endpoint's answer. Raises a `LoginError` or `ProviderError`."""
        ...
