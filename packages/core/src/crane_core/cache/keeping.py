"""Which answers are kept for whom, until when they count, and what ends that.

What is kept or dropped reaches the disk a moment later. Where a method looks there it says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from crane_core.cache.freshness import current_age, fresh_until, may_be_stale
from crane_core.cache.model import PageKey, StoredPage
from crane_core.cache.validation import confirmed, confirmed_as_it_was, kept_headers, storable
from crane_core.errors import IndexRefused
from crane_core.index.answer import PageAnswer, is_missing, refuse_login_page
from crane_core.index.page import HTML_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.cache.model import ContactLog, PageStore
    from crane_core.clock import Clock
    from crane_core.config.model import Index

# Statuses that end what was allowed before. A Crane server says 404 for *forbidden*, too.
GONE = frozenset({401, 403, 404, 410})
REFUSED = frozenset({401, 403})
LONG_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Question:
    """Which page is asked for, and by whom; None is somebody of whom nothing may be kept."""

    url: str
    limit: int
    index: Index | None
    identity: str | None

    @property
    def key(self) -> PageKey | None:
        """The page's place in the cache, if it may have one."""
        return None if self.identity is None else PageKey(self.url, self.identity)


class PageKeeper:
    """Keeps answers by the identity that they were given to, and the log of its contacts."""

    def __init__(
        self,
        store: PageStore,
        contacts: ContactLog,
        clock: Clock,
        *,
        stale_limit: float,
        private_max_age: float,
    ) -> None:
        self._store = store
        self._contacts = contacts
        self._clock = clock
        self._stale_limit = stale_limit
        self._private_max_age = private_max_age

    async def read(self, question: Question) -> StoredPage | None:
        """Return what is kept, however old."""
        page = None if question.key is None else await self._store.get(question.key)
        if page is None or len(page.body) > question.limit:
            return None
        if is_for_offline(page) and not _keeps_pages(question.index):
            self.withdraw(question, refused=False)  # its user has changed their mind
            return None
        return page

    def takes_time(self, question: Question, answer: PageAnswer, asked_at: float) -> bool:
        """Whether to keep an answer, or what a refusal means for that, is for a thread."""
        if answer.status in REFUSED or len(answer.body) >= LONG_BYTES:
            return True
        index, who = question.index, question.identity
        return bool(index and who and self._contacts.is_due(index.token_prefix, who, asked_at))

    def keep(self, question: Question, answer: PageAnswer, asked_at: float) -> PageAnswer:
        """Keep an answer if it may be kept, and return it with the time until which it counts.

        For a thread if `takes_time`.
        """
        if answer.status in GONE or is_missing(answer):
            # Not kept either: whether a name is there decides who may answer for it.
            self.withdraw(question, refused=answer.status in REFUSED)
        if answer.status != 200 or is_missing(answer) or _is_login_page(answer):
            return answer
        self._note_contact(question, asked_at)
        headers = storable(answer.headers)
        if question.key is None:
            return answer
        if headers is None and _keeps_pages(question.index) and _is_forbidden(answer.headers):
            headers = kept_headers(answer.headers)
        if headers is None:
            self._store.remove(question.key)
            return answer
        headers.setdefault("content-type", answer.content_type)
        page = StoredPage(answer.url, headers, answer.body, asked_at, answer.packed)
        self._store.write(question.key, page)
        return replace(answer, fresh_until=self.fresh_until(page, question.index))

    def keep_confirmed(
        self, stored: StoredPage, question: Question, answer: PageAnswer, asked_at: float
    ) -> PageAnswer | None:
        """Return the stored page after a 304; None if that means another. For a thread as `keep`.

        Of an identity that is known: nobody has a stored page.
        """
        assert question.key is not None
        same_headers = confirmed_as_it_was(stored, answer.headers)
        now_headers = same_headers or confirmed(stored, answer.headers)
        if now_headers is None:
            return None
        page = replace(stored, headers=now_headers, stored_at=asked_at)
        self._note_contact(question, asked_at)
        kept_anyway = _keeps_pages(question.index) and _is_forbidden(now_headers)
        if not same_headers and storable(now_headers) is None and not kept_anyway:
            self._store.remove(question.key)
            return _answer(page)
        self._store.renew(question.key, page)
        return _answer(page, fresh_until=self.fresh_until(page, question.index))

    def withdraw(self, question: Question, *, refused: bool) -> None:
        """Drop the page; after a refusal the identity counts as not let in, until it is again.

        A refusal is for a thread.
        """
        if question.key is not None:
            self._store.remove(question.key)
        if refused and question.index is not None and question.identity is not None:
            self._contacts.drop(question.index.token_prefix, question.identity)
            # Nobody who asks after a crash is to find what was refused.
            self._store.flush()

    def is_fresh(self, page: StoredPage, index: Index | None, max_age: float | None) -> bool:
        """Whether the page may be used without asking."""
        now = self._clock.now()
        young = max_age is None or current_age(page, now) <= max_age
        return young and now < self.fresh_until(page, index)

    def fresh_until(self, page: StoredPage, index: Index | None) -> float:
        """Return until when the page may be used without asking."""
        until = fresh_until(page, self._clock.now())
        return until if index is None else min(until, page.stored_at + self._private_max_age)

    def may_be_stale(self, question: Question, page: StoredPage) -> bool:
        """Whether the page may be used while the index cannot be asked; for a thread.

        With `keep-pages` its user has said so, whatever the index's directives are.
        """
        allowed = _keeps_pages(question.index) or may_be_stale(page, self._clock.now())
        return allowed and self.is_within_limits(question, page)

    def is_within_limits(self, question: Question, page: StoredPage) -> bool:
        """Whether the page is young enough, and the identity was let in recently; for a thread."""
        now, index = self._clock.now(), question.index
        limit = self._stale_limit if index is None else index.stale_seconds(self._stale_limit)
        if current_age(page, now) > limit or question.identity is None:
            return False
        if index is None:
            return True
        contact = self._contacts.last(index.token_prefix, question.identity)
        return contact is not None and abs(now - contact) <= limit

    def from_store(self, page: StoredPage, index: Index | None, *, stale: bool) -> PageAnswer:
        """Return a stored page as an answer, with its age (RFC 9111 §4)."""
        age = current_age(page, self._clock.now())
        aged = replace(page, headers={**page.headers, "age": f"{age:.0f}"})
        until = 0.0 if stale else self.fresh_until(page, index)
        return replace(_answer(aged, until), stale=stale, from_cache=True)

    def _note_contact(self, question: Question, when: float) -> None:
        if question.index is not None and question.identity is not None:
            self._contacts.note(question.index.token_prefix, question.identity, when)


def is_for_offline(page: StoredPage) -> bool:
    """Whether the page was kept by its user's word alone (`keep-pages`), against `no-store`.

    Then it is no cached answer (RFC 9111 §5.2.2.5): as long as the index answers it is not used at
    all, not even to ask whether it has changed.
    """
    return _is_forbidden(page.headers)


def _is_forbidden(headers: Mapping[str, str]) -> bool:
    return "no-store" in headers.get("cache-control", "").lower()


def _keeps_pages(index: Index | None) -> bool:
    return index is not None and index.keep_pages


def _answer(page: StoredPage, fresh_until: float = 0.0) -> PageAnswer:
    content_type = page.headers.get("content-type", "")
    return PageAnswer(page.final_url, 200, content_type, page.body, page.headers, fresh_until)


def _is_login_page(answer: PageAnswer) -> bool:
    if answer.media_type not in HTML_TYPES:
        return False
    try:
        refuse_login_page(answer)
    except IndexRefused:
        return True
    return False
