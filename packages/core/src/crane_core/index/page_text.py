"""The text of a JSON page, for tools that get nothing else than what came, but for its links.

To write a page takes time for every file, and PyPI's largest pages have thousands. Nearly all are
written so that what a tool gets can be made of the text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# As compact writers have it, and as Python's own.
_KEYS = (b'"url":"', b'"url": "')
_ANNOUNCED = b'"core-metadata":true,'


@dataclass(frozen=True, slots=True)
class PageText:
    """A JSON text with one link for each file of its page, in the same order.

    Each link is `key`, `start`, and what its URL has after `leads_to`.
    """

    body: bytes
    key: bytes
    start: bytes
    leads_to: str

    @classmethod
    def of(cls, body: bytes, files: int, start: str, leads_to: str) -> PageText | None:
        """Return the text of a page with so many files, None if it is not to be used as it is.

        It must be `is_plain`. All the links must begin with `start`, which stands for `leads_to`.
        """
        begins = start.encode()
        key = next((key for key in _KEYS if body.count(key + begins) == files), None)
        # A key that stands twice is read by one tool as the first says, by another as the last:
        # of where a file is and what it is called there is to be no doubt.
        if key is None or body.count(b'"url"') != files or body.count(b'"filename"') != files:
            return None
        return cls(body, key, begins, leads_to)

    def linked_to(self, folder: str) -> bytes:
        """Return the text with links to `folder` in place of `leads_to`."""
        start = json.dumps(folder)[1:-1].encode()
        if start == self.start:
            return self.body
        return self.body.replace(self.key + self.start, self.key + start)

    def announcing(self, marks: Sequence[bool]) -> PageText:
        """Return a text that announces the metadata of the files so marked (PEP 714).

        None of them may have said anything of it before.
        """
        link = self.key + self.start
        first, *rest = self.body.split(link)
        pieces = [first]
        for is_marked, piece in zip(marks, rest, strict=True):
            pieces += (_ANNOUNCED, link, piece) if is_marked else (link, piece)
        return replace(self, body=b"".join(pieces))


def is_plain(body: bytes) -> bool:
    """Whether a JSON text is in ASCII and escapes nothing.

    Then a string stands there as it is, and a quote is always where one begins or ends. (UTF-16
    may be of ASCII's bytes, too.)
    """
    return body.isascii() and b"\\" not in body and b"\0" not in body


def texts_of(files: Sequence[dict[str, Any]], key: str) -> list[str] | None:
    """Return what all files say under a key, None if something of it is no string."""
    values = [file[key] for file in files]
    return values if all(type(value) is str for value in values) else None
