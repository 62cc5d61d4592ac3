"""What an index says of an upload, in one line for people."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from crane_core.http import json_object
from crane_core.text import visible

if TYPE_CHECKING:
    from crane_core.gateway.uploads.courier import Reply

LONGEST = 300
_TAGS = re.compile(r"<[^>]*>")
_TITLE = re.compile(r"<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)


def said(reply: Reply) -> str:
    """Return an index's own words: of its reason phrase, else of its answer; empty if none."""
    reason = visible(reply.reason).strip()
    if reason and not _is_standard(reply.status, reason):
        return reason[:LONGEST]
    return _in_body(reply)[:LONGEST]


def _is_standard(status: int, reason: str) -> bool:
    try:
        phrases = {HTTPStatus(status).phrase.lower()}
    except ValueError:
        return False
    # What RFC 9110 has renamed.
    phrases |= {"payload too large", "content too large", "request entity too large"}
    return reason.lower() in phrases


def _in_body(reply: Reply) -> str:
    text = reply.body.decode("utf-8", "replace")
    document = json_object(reply.body)
    if document is not None:
        data = document.get("data")
        nested = data if isinstance(data, dict) else {}
        found = (nested.get("message"), document.get("message"), document.get("detail"),
                 document.get("error"), document.get("title"))  # fmt: skip
        return next((_line(value) for value in found if isinstance(value, str) and value), "")
    if "html" in reply.content_type or text.lstrip()[:1] == "<":
        title = _TITLE.search(text)
        return _line(title[1]) if title else ""
    return _line(text)


def _line(text: str) -> str:
    return visible(" ".join(_TAGS.sub(" ", text).split()))
