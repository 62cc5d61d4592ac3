"""What a project requires, told by a tool's plugin with its first question.

A page does not say which version and extras of it the project wants, nor what else it wants.
Whoever knows both can fetch it all together, ahead of the tool.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from crane_core.index.wheel_metadata import Dependencies

if TYPE_CHECKING:
    from collections.abc import Iterable

# Between a plugin and the agent alone; an agent that does not know it leaves it aside.
FIELD = "crane-requires"
MOST_BYTES = 8192


def announcement(requirements: Iterable[str]) -> str:
    """Return the field's value for PEP 508 requirements: as many of them as it may hold."""
    told: list[str] = []
    size = 2
    for line in requirements:
        size += len(json.dumps(line)) + 2
        if size > MOST_BYTES:
            break
        told.append(line)
    return json.dumps(told)


def read_announcement(value: bytes) -> Dependencies:
    """Return what a field's value announces: nothing where it cannot be read."""
    try:
        told = json.loads(value) if len(value) <= MOST_BYTES else []
    except (ValueError, RecursionError):
        told = []
    if not isinstance(told, list):
        told = []
    return Dependencies(tuple(line for line in told if isinstance(line, str)))
