"""Which form of a page a tool gets: PEP 691's content negotiation, as PyPI answers it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from crane_core.gateway.responses import joined
from crane_core.index.page import HTML_TYPE, JSON_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT_HTML = "text/html"
# "The server MUST respond with the content type for the actual version".
_LATEST = {
    "application/vnd.pypi.simple.latest+json": JSON_TYPE,
    "application/vnd.pypi.simple.latest+html": HTML_TYPE,
}
# Of equals the one that says most; `text/html` "only as a last resort".
_OFFERED = (JSON_TYPE, HTML_TYPE, TEXT_HTML)
_QVALUE = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)


def negotiate(scope: dict[str, Any]) -> str:
    """Return the content type of the page that a tool gets.

    A `format` in the query comes first, then what `Accept` names. Whoever names none of our types
    gets `text/html`, be it for `*/*` or for something that we do not have: a 406 would be an empty
    index to pip, which goes on with its next one.
    """
    return _format(scope.get("query_string", b"")) or _accepted(joined(scope, b"accept"))


def _format(query: bytes) -> str | None:
    if b"format=" not in query:
        return None
    # A `+` that nobody escaped is a space in a query.
    chosen = parse_qs(query.decode("latin-1")).get("format", [""])[0].lower().replace(" ", "+")
    kind = _LATEST.get(chosen, chosen)
    return kind if kind in _OFFERED else None


@lru_cache(64)
def _accepted(accept: bytes) -> str:
    wanted: dict[str, float] = {}
    for kind, quality in _ranges(accept.decode("latin-1")):
        known = _LATEST.get(kind, kind)
        wanted[known] = max(quality, wanted.get(known, 0.0))
    best = max(_OFFERED, key=lambda kind: wanted.get(kind, 0.0))
    if wanted.get(best, 0.0) > 0:
        return best
    others = (kind for kind in (TEXT_HTML, JSON_TYPE) if _by_wildcard(kind, wanted) > 0)
    return next(others, TEXT_HTML)


def _by_wildcard(kind: str, wanted: dict[str, float]) -> float:
    # What is refused by name is not meant by `*/*` (RFC 9110 §12.5.1).
    ranges = (kind, f"{kind.partition('/')[0]}/*", "*/*")
    return next((wanted[name] for name in ranges if name in wanted), 0.0)


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if kind:
            yield kind, _quality(parameters)


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if _QVALUE.fullmatch(value := value.strip()) else 0.0
    return 1.0
