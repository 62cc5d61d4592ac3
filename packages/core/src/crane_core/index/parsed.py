"""Pages that were read before: the same answer is not parsed again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from crane_core.index.answer import Missing, PageAnswer, read_project_answer

if TYPE_CHECKING:
    from crane_core.index.page import ProjectPage

MOST_BYTES = 16 << 20
# Bytes of a page that is held in memory: a larger one would push out all others of a resolution.
LARGEST_KEPT = 1 << 20
# From here on reading takes longer than other requests should wait.
LONG_BYTES = 256 << 10


class ParsedPages:
    """Reads answers to page requests, and remembers what it read from which bytes."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._size = 0
        self._pages: OrderedDict[tuple[str, str], tuple[PageAnswer, ProjectPage]] = OrderedDict()

    async def read(self, answer: PageAnswer, project: str) -> ProjectPage | Missing:
        """Return the page, or that there is none; the same object for the same answer.

        Raises as `read_project_answer`.
        """
        key = answer.url, project
        known = self._pages.get(key)
        if known is not None and _same(known[0], answer):
            self._pages.move_to_end(key)
            return known[1]
        if len(answer.body) < LONG_BYTES:
            page = read_project_answer(answer, project)
        else:
            page = await asyncio.to_thread(read_project_answer, answer, project)
        if not isinstance(page, Missing):
            self._keep(key, answer, page)
        return page

    def _keep(self, key: tuple[str, str], answer: PageAnswer, page: ProjectPage) -> None:
        if len(answer.body) > min(LARGEST_KEPT, self._most_bytes):
            return
        self._drop(key)
        self._pages[key] = answer, page
        self._size += len(answer.body)
        while self._size > self._most_bytes:
            self._drop(next(iter(self._pages)))

    def _drop(self, key: tuple[str, str]) -> None:
        if known := self._pages.pop(key, None):
            self._size -= len(known[0].body)


def _same(one: PageAnswer, other: PageAnswer) -> bool:
    said = one.status, one.content_type
    return said == (other.status, other.content_type) and one.body == other.body
