"""Which grant a login uses, and why not another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.auth.credentials import has_client_credentials
from crane_core.auth.grants.authorization_code import AuthorizationCode
from crane_core.auth.grants.client_credentials import ClientCredentials
from crane_core.auth.grants.device import DeviceCode
from crane_core.auth.grants.workload_identity import (
    JWT_BEARER,
    TOKEN_EXCHANGE,
    JWTBearer,
    TokenExchange,
)
from crane_core.auth.workload.detect import sign_of_workload
from crane_core.auth.workload.model import ROOT
from crane_core.errors import LoginNeeded, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.auth.grants.model import Grant
    from crane_core.auth.model import Prompt, ProviderMetadata, Session
    from crane_core.auth.vault import Vault
    from crane_core.config.model import Index

# Without a person first: what somebody set up on purpose. Then the browser, since many tenants
# forbid the device grant, then the device grant.
GRANTS: tuple[Grant, ...] = (
    ClientCredentials(), TokenExchange(), JWTBearer(), AuthorizationCode(), DeviceCode(),
)  # fmt: skip
UNATTENDED = frozenset(grant.name for grant in GRANTS if not grant.interactive)


def may_be_unattended(
    index: Index, environ: Mapping[str, str], vault: Vault, before: Session | None = None
) -> bool:
    """Whether a look at the provider is worth it: there is a secret, a key or an identity.

    Not where `before`, the session that has ended, was a person's.
    """
    if index.grant is not None:
        return index.grant in UNATTENDED
    if began_with_a_person(before):
        return False
    return (
        has_client_credentials(index, environ, vault) or sign_of_workload(environ, ROOT) is not None
    )


def began_with_a_person(session: Session | None) -> bool:
    """Whether a person had logged in; so it is where nobody knows who had.

    Such a session must not become a service's behind their back: they would act in its name.
    """
    return session is not None and session.grant not in UNATTENDED


@dataclass(frozen=True, slots=True)
class Verdict:
    """A grant, and why it cannot be used here; empty if it can."""

    grant: Grant
    why_not: str


@dataclass(frozen=True, slots=True)
class Chooser:
    """Looks at the registration and the surroundings; asks nobody."""

    environ: Mapping[str, str]
    vault: Vault
    prompt: Prompt

    def verdicts(
        self, index: Index, provider: ProviderMetadata, before: Session | None = None
    ) -> list[Verdict]:
        """Return each grant with the reason against it; `before` is the session that there is."""
        reasons = {
            "client-credentials": self._client_credentials(index),
            "token-exchange": self._workload(index, provider, TOKEN_EXCHANGE),
            "jwt-bearer": self._workload(index, provider, JWT_BEARER),
            "authorization-code": self._authorization_code(provider),
            "device": self._device(provider),
        }
        if index.grant is None and began_with_a_person(before):
            for name in UNATTENDED:
                reasons[name] = reasons[name] or "the login here was a person's; log out first"
        return [Verdict(grant, reasons[grant.name]) for grant in GRANTS]

    def choose(
        self,
        index: Index,
        provider: ProviderMetadata,
        wanted: str | None = None,
        before: Session | None = None,
    ) -> Grant:
        """Return the grant that is wanted or registered, else the first that can be used.

        Raises `LoginNeeded` with the reasons if none can.
        """
        if (name := wanted or index.grant) is not None:
            return self._named(index, provider, name)
        verdicts = self.verdicts(index, provider, before)
        for verdict in verdicts:
            if not verdict.why_not:
                return verdict.grant
        reasons = "; ".join(f"{v.grant.name}: {v.why_not}" for v in verdicts)
        raise LoginNeeded(
            f"nobody is logged in at {index.name}, and nobody can answer here ({reasons})",
            hint=f"run: crane login {index.name} at a terminal, or set "
            f"CRANE_TOKEN_{index.variable_suffix}",
        )

    def unattended(
        self, index: Index, provider: ProviderMetadata, before: Session | None = None
    ) -> Grant | None:
        """Return a grant that needs no person, if one can be used."""
        for verdict in self.verdicts(index, provider, before):
            # One that is registered is used whatever seems to be against it.
            usable = (
                not verdict.why_not if index.grant is None else index.grant == verdict.grant.name
            )
            if usable and not verdict.grant.interactive:
                return verdict.grant
        return None

    def _named(self, index: Index, provider: ProviderMetadata, name: str) -> Grant:
        grant = next((grant for grant in GRANTS if grant.name == name), None)
        if grant is None:
            known = ", ".join(grant.name for grant in GRANTS)
            raise UsageError(f"there is no grant {name!r}", hint=f"use one of {known}")
        if grant.interactive and not self.prompt.can_answer:
            raise LoginNeeded(
                f"nobody is logged in at {index.name}, and nobody can answer here",
                hint=f"run: crane login {index.name} at a terminal",
            )
        return grant

    def _client_credentials(self, index: Index) -> str:
        if has_client_credentials(index, self.environ, self.vault):
            return ""
        return "no client secret or key is set"

    def _workload(self, index: Index, provider: ProviderMetadata, grant_type: str) -> str:
        if sign_of_workload(self.environ, ROOT) is None:
            return "these surroundings give no identity"
        known = provider.grant_types
        if known is None or grant_type not in known:
            return "the provider does not say that it takes identities"
        if index.workload_audience is None and self.prompt.can_answer:
            return "somebody is here to log in"
        return ""

    def _authorization_code(self, provider: ProviderMetadata) -> str:
        if provider.authorization_endpoint is None:
            return "the provider has no authorization endpoint"
        if not self.prompt.can_answer:
            return "nobody is here"
        return "" if self.prompt.has_browser else "no browser is near"

    def _device(self, provider: ProviderMetadata) -> str:
        if provider.device_authorization_endpoint is None:
            return "the provider does not offer it"
        return "" if self.prompt.can_answer else "nobody is here"
