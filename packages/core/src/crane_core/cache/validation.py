"""What of an answer may be stored, and how it is confirmed later (RFC 9111 §3, §4.3): by hishel.

hishel takes 20 ms to import, so it is when the first page is there.
"""

from __future__ import annotations

import uuid
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from crane_core.cache.freshness import http_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hishel import CacheOptions, Entry, NeedRevalidation, Request, Response

    from crane_core.cache.model import StoredPage

# Nothing else is needed of a page, and no cookie of a login is to lie on the disk.
KEPT = frozenset({
    "age", "cache-control", "content-type", "date", "etag", "expires", "last-modified", "vary",
})  # fmt: skip
# Of the moment at which an answer was made.
PASSING = ("age", "date")
# Whose values no rule of §3 looks at, and which are others for each page.
_UNRULY = frozenset({"age", "date", "etag", "last-modified"})
_CONDITIONS = ("if-none-match", "if-modified-since")
_URL = "page:"  # hishel compares URLs; each page is judged alone here


def storable(headers: Mapping[str, str]) -> dict[str, str] | None:
    """Return the headers to keep of an answer with status 200, None if it must not be stored."""
    said = ((name, "" if name in _UNRULY else value) for name, value in headers.items())
    names = _to_keep(tuple(said))
    return None if names is None else {name: headers[name] for name in names}


@lru_cache(256)
def _to_keep(headers: tuple[tuple[str, str], ...]) -> tuple[str, ...] | None:
    """Return the names of the headers to keep, None if nothing is to be."""
    from hishel import CacheMiss, Headers, Request, Response, StoreAndUse

    answer = Response(200, Headers(dict(headers)))
    state = CacheMiss(options=_options(), request=Request("GET", _URL)).next(answer)
    return tuple(kept_headers(state.response.headers)) if isinstance(state, StoreAndUse) else None


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return those of a page's headers that are stored with it."""
    return {name: value for name, value in headers.items() if name in KEPT}


def lasting(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that do not speak of the moment at which an answer was made."""
    return {name: value for name, value in headers.items() if name not in PASSING}


def conditions(page: StoredPage) -> dict[str, str]:
    """Return the request headers that ask whether the page is still the same (§4.3.1).

    Only for validators that the answer had: a Crane server has no ETag, and a request with
    If-None-Match gets the whole page from it each time.
    """
    return dict(_conditions(tuple(lasting(page.headers).items())))


@lru_cache(1024)
def _conditions(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    sent = _revalidation(dict(headers)).request.headers
    return tuple((name, sent[name]) for name in _CONDITIONS if name in sent)


def confirmed_as_it_was(page: StoredPage, headers: Mapping[str, str]) -> dict[str, str] | None:
    """Return the page's headers after a 304 that names it and says nothing else that is new.

    None for any other: then `confirmed` has to be asked, which takes a hundred times as long.
    """
    said = {name: value for name, value in headers.items() if name in KEPT}
    old = lasting(page.headers)
    if not said.keys() & {"etag", "last-modified"}:
        return None
    if any(old.get(name) != value for name, value in lasting(said).items()):
        return None
    return {**old, **{name: said[name] for name in PASSING if name in said}}


def confirmed(page: StoredPage, headers: Mapping[str, str]) -> dict[str, str] | None:
    """Return the page's headers after a 304 with these; None if it speaks of another page."""
    from hishel import Headers, NeedToBeUpdated, Response

    state = _revalidation(page.headers).next(Response(304, Headers(dict(headers))))
    if not isinstance(state, NeedToBeUpdated):
        return None
    updated = state.updating_entries[-1].response.headers
    return {name: value for name, value in updated.items() if name in KEPT}


def _revalidation(headers: Mapping[str, str]) -> NeedRevalidation:
    from hishel import Headers, IdleClient, NeedRevalidation, Request, Response

    # The age was that of the old answer: a 304 says its own, or has none.
    old = lasting(headers)
    if http_time(old.get("expires")) is None:
        old.pop("expires", None)  # what is no date is none, and hishel 1.4 stumbles over it
    entry = _entry(Request("GET", _URL), Response(200, Headers(old)))
    # `no-cache`, so that hishel does not judge the freshness; this request is never sent.
    asked = Request("GET", _URL, Headers({"cache-control": "no-cache"}))
    state = IdleClient(_options()).next(asked, [entry])
    assert isinstance(state, NeedRevalidation)
    return state


def _entry(request: Request, response: Response) -> Entry:
    """Return a stored answer as hishel knows it.

    Plugins share an environment with their tool, and PDM 2.29 pins hishel 1.4: there an entry has
    two more parts.
    """
    import hishel

    if (meta := getattr(hishel, "EntryMeta", None)) is None:
        return hishel.Entry(uuid.uuid4(), request, response)
    parts: dict[str, Any] = {"meta": meta(created_at=0.0), "cache_key": b""}
    return hishel.Entry(id=uuid.uuid4(), request=request, response=response, **parts)


def _options() -> CacheOptions:
    from hishel import CacheOptions

    # Private: it is one user's cache, for public pages too.
    return CacheOptions(shared=False, supported_methods=["GET"], allow_stale=False)
