"""Who was given which file, and what that is worth while the index cannot be asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.errors import IndexRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from crane_core.cache.model import ContactLog, FileRecord, FileStore
    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.errors import SourceError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file, and who wants it; `identity` is None while nobody is logged in.

    `known` is what it hashed to before, `expected` what the index's page says it hashes to.
    """

    url: str
    index: Index
    identity: str | None
    known: str | None = None
    expected: str | None = None

    @property
    def key(self) -> tuple[str | None, str, str | None]:
        """What is the same for all who may share one download of it."""
        return self.identity, self.url, self.expected


class Grants:
    """Notes down who was given a file, and that somebody is refused it. Without a cache, nothing.

    An answer counts for whoever is still logged in once it is here: it might have been given to
    somebody else, who logged in meanwhile.
    """

    def __init__(
        self,
        store: FileStore | None,
        contacts: ContactLog | None,
        identity: Callable[[Index], str | None],
        clock: Clock,
    ) -> None:
        self._store = store
        self._contacts = contacts
        self._identity = identity
        self._clock = clock

    async def give(self, wanted: Wanted, record: FileRecord) -> None:
        """Note that the index has given this identity the file."""
        if wanted.identity is not None and self._identity(wanted.index) == wanted.identity:
            await asyncio.to_thread(self._give, wanted, wanted.identity, record)

    def _give(self, wanted: Wanted, identity: str, record: FileRecord) -> None:
        if self._store is not None:
            self._store.authorise(wanted.url, identity, record)
        if self._contacts is not None:
            self._contacts.note(wanted.index.token_prefix, identity, record.authorised_at)

    async def withdraw(self, wanted: Wanted, error: SourceError) -> None:
        """Note that the index refuses the file, or refuses whoever asks."""
        if wanted.identity is not None:
            await asyncio.to_thread(self._withdraw, wanted, wanted.identity, error)

    def _withdraw(self, wanted: Wanted, identity: str, error: SourceError) -> None:
        # Looked up first: most of what an index does not have was never given to anybody.
        store = self._store
        if store is not None and store.record(wanted.url, identity) is not None:
            store.deny(wanted.url, identity)
        if self._contacts is not None and isinstance(error, IndexRefused):
            self._contacts.drop(wanted.index.token_prefix, identity)

    def is_within(self, record: FileRecord | None, seconds: float) -> bool:
        """Whether the index has given the file so recently."""
        # Not before its time either: the clock may have been set back.
        return record is not None and 0 <= self._clock.now() - record.authorised_at <= seconds

    async def may_be_stale(
        self, wanted: Wanted, record: FileRecord | None, stale_limit: float
    ) -> bool:
        """Whether the file may be given although the index cannot be asked.

        Only to whom the index has let in within the limit, and not refused since.
        """
        if wanted.identity is None or not self.is_within(record, stale_limit):
            return False
        if self._contacts is None:
            return True
        prefix = wanted.index.token_prefix
        contact = await asyncio.to_thread(self._contacts.last, prefix, wanted.identity)
        return contact is not None and abs(self._clock.now() - contact) <= stale_limit
