"""Files for the tests of HTTP's contract: fresh from the index (`cold`), or cached (`warm`)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from conformance.front import Front
from gateway.tools import until

CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)
_numbers = itertools.count(1)


def path_of(front: Front, handler: Any) -> str:
    """Put a file on the index under a name that nobody has asked for; return the path."""
    path = f"/files/contract_{next(_numbers)}-1.0-py3-none-any.whl"
    front.put(path, handler)
    return path


def prepared(front: Front, state: str, handler: Any) -> str:
    """Put a file on the index and, if it shall be warm, fetch it; return its URL."""
    path = path_of(front, handler)
    url = f"{front.gate.url}/python/files{path}"
    if state == "warm":
        assert front.gate.get(url).content == handler.content
        until(lambda: _is_cached(front, url, handler), "the file comes from the cache")
    return url


def _is_cached(front: Front, url: str, handler: Any) -> bool:
    """Whether the index is not asked for the file; it is in the cache a moment after it passed."""
    asked = len(handler.statuses)
    assert front.gate.get(url).content == handler.content
    return len(handler.statuses) == asked


both = pytest.mark.parametrize("state", ["cold", "warm"])
