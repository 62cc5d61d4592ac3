"""What a grant is, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from crane_core.auth.endpoint import post_form
from crane_core.auth.tokens import read_identity

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

    async def redeem(self, form: dict[str, str]) -> Answer:
        """Return the token endpoint's answer to a grant (RFC 6749 §3.2). Raises as `post_form`."""
        endpoint = self.provider.token_endpoint
        return await post_form(self.client, endpoint, form, self.authentication)

    async def redeem_login(self, form: dict[str, str], nonce: str | None = None) -> Answer:
        """Redeem a person's login; the ID token in the answer, if there is one, must be of it.

        Raises as `redeem`, and `ProviderAnswer` as `read_identity`.
        """
        answer = await self.redeem(form)
        # The provider's own time, if it told: this machine's clock may be wrong.
        now = self.clock.now() if answer.server_time is None else answer.server_time
        read_identity(
            answer.payload, self.index.client_id, self.provider.issuer, now=now, nonce=nonce
        )
        return answer


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
