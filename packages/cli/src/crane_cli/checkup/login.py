"""Is the identity provider there, does it know the client, and who is logged in?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from crane_cli.findings import Finding, failed, good, warning
from crane_core.errors import CraneError, LoginNeeded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crane_core.auth.broker import Broker
    from crane_core.auth.context import AuthContext
    from crane_core.config.model import Index
    from crane_core.secret import Secret

# What says for whom a token is, and what it opens.
SHOWN = ("iss", "aud", "azp", "preferred_username", "upn", "sub", "scope", "scp", "groups", "roles")
RIGHTS = ("groups", "roles", "scope", "scp")
LONGEST = 200


async def look(parts: AuthContext, broker: Broker, index: Index) -> AsyncIterator[Finding]:
    """Yield the findings; the last one is bad if there is no token."""
    from crane_core.auth.credentials import is_ready_made

    if is_ready_made(index, parts.environ):
        yield good("login: a token was set for this index; the provider is not asked")
    else:
        async for finding in _provider(parts, index):
            yield finding
    try:
        token = await broker.access_token(index)
    except LoginNeeded as error:
        yield failed("login", error)
        return
    except CraneError as error:
        yield failed("token", error)
        return
    for finding in _token(token, index):
        yield finding


async def _provider(parts: AuthContext, index: Index) -> AsyncIterator[Finding]:
    from crane_core.auth.discovery import index_provider

    try:
        provider = await index_provider(parts.client(index), index)
    except CraneError as error:
        yield failed("identity provider", error)
        return
    yield good(f"identity provider: {provider.issuer or provider.token_endpoint} answers")
    session = parts.store.read_for(index)
    verdicts = parts.chooser.verdicts(index, provider, session)
    wanted = [v for v in verdicts if index.grant in {None, v.grant.name}]
    usable = [v.grant.name for v in wanted if not v.why_not]
    if usable:
        yield good(f"client {index.client_id}: can log in by {', '.join(usable)}")
    else:
        reasons = "; ".join(f"{v.grant.name}: {v.why_not}" for v in wanted)
        # A login may be there, from elsewhere, and go on.
        yield warning(
            f"client {index.client_id}: no grant can be used here ({reasons})",
            f"run: crane explain {index.url}, which says what each of them lacks",
        )


def _token(token: Secret, index: Index) -> list[Finding]:
    from crane_core.auth.tokens import claims_of

    claims = claims_of(token)
    if not claims:
        return [good("token: there is one; it is opaque, so it shows nothing of itself")]
    shown = ", ".join(f"{name}={_short(claims[name])}" for name in SHOWN if name in claims)
    end = claims.get("exp")
    until = f", until {_clock_time(end)}" if isinstance(end, (int, float)) else ""
    found = [good(f"token: {shown}{until}")]
    if not any(claims.get(name) for name in RIGHTS):
        found.append(
            warning(
                "token: it has no claim about groups, roles or scopes",
                "if the index finds nothing, its administrators have to add a groups mapper to "
                f"the client {index.client_id}",
            )
        )
    return found


def _short(value: Any) -> str:
    from crane_core.text import visible

    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return visible(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")


def _clock_time(seconds: float) -> str:
    try:
        return time.strftime("%H:%M:%S", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "a time that is none"
