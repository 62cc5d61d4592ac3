"""Pages by way of the cache: RFC 9111, and what an index that is down has said before."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from crane_core.cache.keeping import PageKeeper, Question, is_for_offline
from crane_core.cache.model import PUBLIC
from crane_core.cache.settings import DEFAULT_STALE_LIMIT
from crane_core.cache.validation import conditions
from crane_core.errors import IndexRefused, IndexUnreachable, ProviderUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crane_core.cache.model import ContactLog, PageStore, StoredPage
    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.index.answer import PageAnswer

# Seconds. What a private index says decides who owns a name, so it must be news (ADR 0003),
# whatever the index allows: an answer counts for a moment, and then is asked about.
PRIVATE_MAX_AGE = 10.0


T = TypeVar("T")


class PageUpstream(Protocol):
    """Fetches a page of an index, with that index's login if it has one."""

    async def page(
        self, url: str, limit: int, index: Index | None, headers: Mapping[str, str]
    ) -> PageAnswer:
        """Return the answer, at most `limit` bytes of it. Raises a `CraneError`."""
        ...


class CachedPages:
    """Answers from the cache what may be answered from there, and asks for the rest.

    Pages are kept by identity: what one login was given is never given to another, and to
    nobody while nobody is logged in. While an index cannot be asked, its last answers count for
    `stale_limit` seconds, if it lets them, and only for an identity that it has let in within
    that time. `offline` never asks at all; then it counts what the user wants, not the index.
    """

    def __init__(
        self,
        upstream: PageUpstream,
        store: PageStore,
        contacts: ContactLog,
        identity: Callable[[Index], str | None],
        clock: Clock,
        *,
        stale_limit: float = DEFAULT_STALE_LIMIT,
        private_max_age: float = PRIVATE_MAX_AGE,
        offline: bool = False,
    ) -> None:
        self._upstream = upstream
        self._identity = identity
        self._clock = clock
        self._offline = offline
        self._keeper = PageKeeper(
            store, contacts, clock, stale_limit=stale_limit, private_max_age=private_max_age
        )

    async def page(
        self, url: str, limit: int, index: Index | None = None, *, max_age: float | None = None
    ) -> PageAnswer:
        """Return the answer to a page request, from the cache or from the index.

        `max_age` is how old it may be without asking, in seconds (RFC 9111 §5.2.1.1); None for as
        old as the index allows. Raises what the upstream raises; offline `IndexUnreachable`.
        """
        question = Question(url, limit, index, self._who(index))
        stored = await self._keeper.read(question)
        if self._offline:
            return await self._without_asking(question, stored)
        if stored is not None and self._keeper.is_fresh(stored, index, max_age):
            return self._keeper.from_store(stored, index, stale=False)
        try:
            answer = await self._ask(question, _askable(stored))
        except (IndexUnreachable, ProviderUnreachable):
            if stale := await self._stale(question, stored):
                return stale
            raise
        except IndexRefused:
            await asyncio.to_thread(self._keeper.withdraw, question, refused=True)
            raise
        # RFC 9111 §4.3.3: as if the index had not answered.
        if answer.status == 429 or answer.status >= 500:
            return await self._stale(question, stored) or answer
        return answer

    def forget(self, url: str, index: Index) -> None:
        """Drop what is kept of a page for whoever is logged in; for a thread."""
        if (who := self._who(index)) is not None:
            self._keeper.withdraw(Question(url, 0, index, who), refused=False)

    def _who(self, index: Index | None) -> str | None:
        return PUBLIC if index is None else self._identity(index)

    async def _ask(self, question: Question, stored: StoredPage | None) -> PageAnswer:
        # Before the request: the time it takes counts as age.
        asked_at = self._clock.now()
        headers = {} if stored is None else conditions(stored)
        answer = await self._upstream.page(question.url, question.limit, question.index, headers)
        asked_by = self._asked_by(question)
        if answer.status != 304 or stored is None:
            now = await self._perhaps_in_a_thread(self._keeper.keep, asked_by, answer, asked_at)
            return replace(now, packed=b"") if now.packed else now
        # A 304 to somebody else, or of another page than ours, says nothing of ours.
        if asked_by.identity == question.identity and answer.url == stored.final_url:
            kept = await self._perhaps_in_a_thread(
                partial(self._keeper.keep_confirmed, stored), asked_by, answer, asked_at
            )
            if kept is not None:
                return kept
        return await self._ask(asked_by, None)

    async def _perhaps_in_a_thread(
        self,
        keep: Callable[[Question, PageAnswer, float], T],
        question: Question,
        answer: PageAnswer,
        asked_at: float,
    ) -> T:
        if self._keeper.takes_time(question, answer, asked_at):
            return await asyncio.to_thread(keep, question, answer, asked_at)
        return keep(question, answer, asked_at)

    def _asked_by(self, question: Question) -> Question:
        """Return the question with whoever has been answered, as far as that is certain."""
        who = self._who(question.index)
        # A login on the way makes somebody of nobody; of one user it never makes another.
        certain = question.identity in {None, who}
        identity = who if certain else None
        return question if identity == question.identity else replace(question, identity=identity)

    async def _stale(self, question: Question, stored: StoredPage | None) -> PageAnswer | None:
        if stored is None or self._who(question.index) != question.identity:
            return None
        if not await asyncio.to_thread(self._keeper.may_be_stale, question, stored):
            return None
        return self._keeper.from_store(stored, question.index, stale=True)

    async def _without_asking(self, question: Question, stored: StoredPage | None) -> PageAnswer:
        if stored is None or not await asyncio.to_thread(
            self._keeper.is_within_limits, question, stored
        ):
            raise _not_in_cache(question)
        fresh = self._keeper.is_fresh(stored, question.index, None)
        return self._keeper.from_store(stored, question.index, stale=not fresh)


def _askable(stored: StoredPage | None) -> StoredPage | None:
    return None if stored is not None and is_for_offline(stored) else stored


def _not_in_cache(question: Question) -> IndexUnreachable:
    index = question.index
    if index is not None and question.identity is None:
        hint = f"nobody is logged in; run: crane login {index.name}"
    else:
        hint = "do it once without --offline or CRANE_OFFLINE"
    return IndexUnreachable(f"offline, and the cache has no {question.url}", hint=hint)
