"""How long a stored page may be used without asking (RFC 9111 §4.2), for a private cache.

Ours, since hishel leaves out what counts here: it takes no notice of an `Age` header, guesses a
lifetime from Last-Modified, reads the machine's clock, and does not say until when.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.cache.model import StoredPage

# A page from further in the future than this was stored before the clock was set back.
CLOCK_TOLERANCE = 60.0
_DIRECTIVE = re.compile(r'([\w-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?')
# The request headers of ours that may be others next time. The login is part of the page's key,
# what we accept too.
_CHANGING = frozenset({"*", "user-agent"})
_LONGEST = 2**31  # §1.2.2


def lifetime(page: StoredPage) -> float:
    """Return for how many seconds the index lets its answer be used (§4.2.1); 0 if it is silent.

    Nothing is guessed: an index page must be news.
    """
    control = directives(page.headers)
    if "no-cache" in control or "no-store" in control or _varies(page.headers):
        return 0.0
    if "max-age" in control:
        return _seconds(control["max-age"])
    expires = http_time(page.headers.get("expires"))
    if expires is None:
        return 0.0
    date = http_time(page.headers.get("date"))
    return max(0.0, expires - (page.stored_at if date is None else date))


def current_age(page: StoredPage, now: float) -> float:
    """Return the seconds since the index made or confirmed the answer (§4.2.3).

    `stored_at` is when the request was sent, so that the time it took is part of the age.
    """
    resident = now - page.stored_at
    if resident < -CLOCK_TOLERANCE:
        return float("inf")
    date = http_time(page.headers.get("date"))
    apparent = 0.0 if date is None else max(0.0, page.stored_at - date)
    return max(apparent, _seconds(page.headers.get("age", ""))) + max(0.0, resident)


def fresh_until(page: StoredPage, now: float) -> float:
    """Return until when the page may be used without asking, in seconds since the epoch."""
    return max(0.0, now + lifetime(page) - current_age(page, now))


def may_be_stale(page: StoredPage, now: float) -> bool:
    """Whether the index lets a stale answer be used while it cannot be asked (§4.2.4).

    `stale-if-error` (RFC 5861 §4) is for how long.
    """
    control = directives(page.headers)
    if "no-cache" in control or "must-revalidate" in control:
        return False
    if "stale-if-error" not in control:
        return True
    return current_age(page, now) - lifetime(page) <= _seconds(control["stale-if-error"])


def directives(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the Cache-Control directives by lower-case name; of a repeated one, the first."""
    return _directives(headers.get("cache-control", ""))


@lru_cache(256)
def _directives(control: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, quoted, plain in _DIRECTIVE.findall(control):
        found.setdefault(name.lower(), quoted or plain)
    return found


def _varies(headers: Mapping[str, str]) -> bool:
    names = {name.strip().lower() for name in headers.get("vary", "").split(",")}
    return bool(names & _CHANGING)


def _seconds(text: str) -> float:
    # What is no number counts as none: §4.2.1 encourages to take such an answer for stale.
    text = text.strip()
    return float(min(int(text), _LONGEST)) if text.isascii() and text.isdigit() else 0.0


@lru_cache(1024)
def http_time(text: str | None) -> float | None:
    """Return the seconds since the epoch that an HTTP date says, None if it is none."""
    try:
        moment = parsedate_to_datetime(text or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
