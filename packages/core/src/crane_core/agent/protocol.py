"""What an agent and its clients have agreed on.

`hello`, `status` and `stop` are understood by every version, so that a newer crane can show and
end an older agent. Fields that a peer does not know are passed over.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from crane_core.errors import AgentTrouble, CraneError

if TYPE_CHECKING:
    from crane_core.secret import Secret

PROTOCOL = 1  # what this version speaks
OLDEST = 1  # the oldest one that it understands
ROOT = "/-/agent/"
LEAVING = 503  # the status of an agent that opens nothing more
LONGEST = 1 << 20  # bytes of a request or an answer


def proof(secret: Secret, nonce: str, port: int, protocol: int, oldest: int) -> str:
    """Return what only an agent can say that knows the secret, and listens on that port."""
    text = f"crane-agent {nonce} {port} {protocol} {oldest}"
    return hmac.digest(secret.reveal().encode(), text.encode(), "sha256").hex()


def require_common(protocol: int, oldest: int, version: str) -> None:
    """Raise `AgentTrouble` if an agent and this version have no language in common."""
    if oldest > PROTOCOL:
        raise AgentTrouble(
            f"the running agent is of crane {version}, which is too new for this one",
            hint="update crane, or run: crane agent stop",
        )
    if protocol < OLDEST:
        raise AgentTrouble(
            f"the running agent is of crane {version}, which is too old for this one",
            hint="run: crane agent stop",
        )


def error_to_json(error: CraneError) -> dict[str, Any]:
    """Return what `error_from_json` reads."""
    return {"error": {"code": error.code, "message": error.message, "hint": error.hint}}


def error_from_json(value: Any) -> CraneError:
    """Return an agent's error as the one that it was; `AgentTrouble` if it is none that we know."""
    found = value.get("error") if isinstance(value, dict) else None
    if not isinstance(found, dict):
        return AgentTrouble("the agent gave no reason", hint="run: crane agent stop")
    kind = _kinds(CraneError).get(str(found.get("code")), AgentTrouble)
    return kind(str(found.get("message", "")), hint=str(found.get("hint", "")))


def _kinds(kind: type[CraneError]) -> dict[str, type[CraneError]]:
    found = {kind.code: kind}
    for below in kind.__subclasses__():
        found = {**_kinds(below), **found}
    return found
