"""What of a tool's requests has come to a view: for whoever wants to know why none does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Trail:
    """How far a view's tool has come at the opened hosts.

    `tunnels` it has asked for; `no_tls` is the reason of the last one in which it would not have
    our certificate, empty if there is none; `requests` inside the tunnels, or in plain http.
    `others` are tunnels to hosts that are not opened.
    """

    tunnels: int = 0
    no_tls: str = ""
    requests: int = 0
    others: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Trail:
        """Read a trail; fields that this version does not know are left out (newer peers)."""
        return cls(
            tunnels=int(value["tunnels"]),
            no_tls=str(value["no_tls"]),
            requests=int(value["requests"]),
            others=int(value["others"]),
        )
