"""What a lock file wants of an index."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crane_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

PYPI = "https://pypi.org/simple"


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file of a lock; `url` is None where the lock leaves it to the index's page."""

    name: str
    url: str | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A project as a lock pins it.

    `project` is normalised. `files` are those that the lock names; without any, all of that
    version are meant, and `hashes` (algorithm and digest) are those that it allows. `sources` are
    the indexes that the lock names for it, in their order; without any, its tool has its own.
    `elsewhere` says why no index is asked. `asks_page` says that its tool looks at the index's page
    even with the lock.
    """

    project: str
    version: str = ""
    files: tuple[WantedFile, ...] = ()
    hashes: frozenset[tuple[str, str]] = frozenset()
    sources: tuple[str, ...] = ()
    elsewhere: str = ""
    asks_page: bool = True


def split_hash(text: str, where: str) -> tuple[str, str]:
    """Return algorithm and digest of `sha256:…`. Raises `UsageError`."""
    algorithm, separator, digest = text.partition(":")
    if not separator or not digest:
        raise broken(where, f"{text[:80]!r} is no hash")
    return algorithm.lower(), digest.lower()


def broken(where: object, reason: str) -> UsageError:
    """Return the error for a lock file that cannot be read."""
    return UsageError(f"{where}: {reason}", hint="make it anew with the tool that it is of")


def text_of(table: Mapping[str, Any], key: str, where: str) -> str:
    """Return a text that must be there. Raises `UsageError`."""
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise broken(where, f"an entry has no {key}")
    return value
