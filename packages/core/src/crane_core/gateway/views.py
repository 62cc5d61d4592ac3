"""What one child process may do through the gateway, and how it proves to be that child."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read at run time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from crane_core.gateway.trail import Trail
    from crane_core.secret import Secret


@dataclass(frozen=True, slots=True)
class Wish:
    """What a child process needs.

    `indexes` are names of registered indexes in the order of their priority: a name that one owns
    is taken from none behind it, and nobody's being logged in at one is an error for every name.
    None means all that are registered, in no order. `others` are the URLs of further indexes of
    the same command, opened so that no private name is taken from them. With
    `serves_fallback` an index answers for its fallback's projects under its own URL. `proxies` are
    the child's own proxy variables (`http`, `https`, `all`, `no`), as it would have used them.
    `owner` is the process for which the view lives; None: as long as the agent. With
    `needs_hashes` pages tell the hashes that we know, and no metadata is made for a wheel without
    one: the tool writes hashes down, and is to download it.
    """

    indexes: tuple[str, ...] | None = None
    others: tuple[str, ...] = ()
    serves_fallback: bool = False
    proxies: Mapping[str, str] = field(default_factory=dict)
    owner: int | None = None
    ordered: bool = True
    needs_hashes: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {
            "indexes": None if self.indexes is None else list(self.indexes),
            "others": list(self.others),
            "serves-fallback": self.serves_fallback,
            "proxies": dict(self.proxies),
            "owner": self.owner,
            "ordered": self.ordered,
            "needs-hashes": self.needs_hashes,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Wish:
        """Read a wish; fields that this version does not know are left out (newer peers)."""
        indexes = value.get("indexes")
        return cls(
            indexes=None if indexes is None else tuple(indexes),
            others=tuple(value.get("others", ())),
            serves_fallback=bool(value.get("serves-fallback", False)),
            proxies=dict(value.get("proxies", {})),
            owner=value.get("owner"),
            ordered=bool(value.get("ordered", True)),
            needs_hashes=bool(value.get("needs-hashes", False)),
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """A view as its child needs it.

    `secret` is the password of the proxy URL; `authority` the PEM certificate of the CA that the
    child has to trust; `origins` the opened ones (`https://host:port`, default ports left out).
    """

    name: str
    secret: Secret
    authority: str
    origins: tuple[str, ...]


class Views(Protocol):
    """The views of one gateway."""

    def open(self, wish: Wish) -> Opened:
        """Make a view; raises a `CraneError` for an index that is not registered."""
        ...

    def trail(self, name: str) -> Trail:
        """Return what has come to a view; raises `KeyError` if there is no such view."""
        ...

    def close(self, name: str) -> None:
        """End a view: its secret opens nothing from now on, its connections are closed."""
        ...
