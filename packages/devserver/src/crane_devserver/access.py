"""Callers, and the groups that give them rights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

NOBODY: frozenset[str] = frozenset()
"""A set of groups no caller is in: nobody has the right."""

ANY_USER: None = None
"""In place of a set of groups: every caller with a valid token has the right."""


@dataclass(frozen=True)
class Identity:
    """A caller whose token was accepted."""

    user: str
    groups: frozenset[str] = NOBODY
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def holds(self, groups: frozenset[str] | None) -> bool:
        """Tell whether the caller is in one of ``groups`` (``None``: any caller is)."""
        return groups is None or not groups.isdisjoint(self.groups)
