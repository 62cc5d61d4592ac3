"""Finished answers: a request that arrives byte for byte again gets the bytes it got before."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_REQUEST = 8 << 10
MOST_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Finished:
    """A whole answer, except for its Date, and until when it may be given.

    `usable` is asked each time: it knows the clock and whether the user is still logged in.
    `given` counts an answer that nobody else hears of.
    """

    head: bytes
    body: bytes
    usable: Callable[[], bool]
    given: Callable[[], None]

    @property
    def size(self) -> int:
        """The memory it takes, in bytes."""
        return len(self.head) + len(self.body)


class FinishedAnswers:
    """Answers by the whole head of the request, the least used ones leaving first.

    Equal bytes have equal Host, login and origin, so what the guard said of the first request
    holds for the next one, but for the user at the other end: that is the connection's to know.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._size = 0
        self._answers: OrderedDict[bytes, Finished] = OrderedDict()

    def get(self, request: bytes) -> Finished | None:
        """Return the answer if it may still be given."""
        answer = self._answers.get(request)
        if answer is None:
            return None
        if not answer.usable():
            self._drop(request)
            return None
        self._answers.move_to_end(request)
        return answer

    def keep(self, request: bytes, answer: Finished) -> None:
        """Remember an answer, unless it is too large to be worth it."""
        if len(request) > LONGEST_REQUEST or answer.size > self._most_bytes // 8:
            return
        self._drop(request)
        self._answers[request] = answer
        self._size += len(request) + answer.size
        while self._size > self._most_bytes:
            self._drop(next(iter(self._answers)))

    def _drop(self, request: bytes) -> None:
        if answer := self._answers.pop(request, None):
            self._size -= len(request) + answer.size
