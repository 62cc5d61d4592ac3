"""Project pages that this process has been given.

PDM reads a page for each requirement of a project, and once more for its files' hashes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from crane_core.clients.project_route import names_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from crane_core.clients.in_process import Way

MOST_BYTES = 32 << 20
MOST_OF_ONE = 4 << 20


@dataclass(frozen=True, slots=True)
class _Page:
    content_type: str
    body: bytes


class Pages:
    """The pages of all clients of this process; the oldest leave first.

    One command works with one state of a page, as it does in pip and Poetry. That a project is
    *not* at an index is news each time.
    """

    def __init__(self, library: ModuleType) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._pages: OrderedDict[tuple[Way, str, str], _Page] = OrderedDict()
        self._size = 0

    def get(self, way: Way, request: Any) -> Any:
        """Return the answer that a question has had before, None if it has had none."""
        if request.method != "GET":
            return None
        with self._lock:
            page = self._pages.get(_key(way, request))
        if page is None:
            return None
        headers = {"content-type": page.content_type}
        return self._library.Response(200, headers=headers, content=page.body, request=request)

    def has_all(self, projects: Iterable[str]) -> bool:
        """Whether each of these projects has a page here."""
        with self._lock:
            known = {urlsplit(url).path.rstrip("/").rpartition("/")[2] for _, url, _ in self._pages}
        return known.issuperset(map(canonicalize_name, projects))

    def note(self, way: Way, request: Any, response: Any) -> None:
        """Keep an answer that has been read, if it is a page."""
        kind, body = response.headers.get("content-type"), response.content
        is_page = response.status_code == 200 and not names_file(str(request.url))
        if not is_page or kind is None or len(body) > MOST_OF_ONE:
            return
        key = _key(way, request)
        with self._lock:
            if key not in self._pages:
                self._pages[key] = _Page(kind, body)
                self._size += len(body)
            while self._size > MOST_BYTES:
                self._size -= len(self._pages.popitem(last=False)[1].body)


def _key(way: Way, request: Any) -> tuple[Way, str, str]:
    return way, str(request.url), request.headers.get("accept", "")
