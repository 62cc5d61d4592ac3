"""What a client accepts, and where its redirects point (RFC 9110, sections 10 and 12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request

    from .behaviour import Behaviour


def accepted(request: Request) -> dict[str, float]:
    """Return the media ranges of ``Accept`` with their weights; none means ``*/*``."""
    ranges: dict[str, float] = {}
    for part in request.headers.get("accept", "*/*").split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if media:
            ranges[media] = _weight(parameters)
    return ranges


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def takes_html(request: Request) -> bool:
    """Tell whether ``Accept`` names ``text/html``, as pip's, uv's and a browser's do.

    The wildcard does not count: this is what makes the difference between the login
    redirect for a page and the 404 for a download.
    """
    return "text/html" in accepted(request)


def prefers_html(request: Request) -> bool:
    """Tell whether HTML is the better answer than JSON."""
    ranges = accepted(request)
    html = ranges.get("text/html", 0.0)
    json = max(ranges.get("application/json", 0.0), ranges.get("*/*", 0.0))
    return html > 0 and html >= json


def origin(request: Request, behaviour: Behaviour) -> str:
    """Return the scheme and host the server believes it is reached at."""
    scheme = "http" if behaviour.http_locations else request.url.scheme
    return f"{scheme}://{request.headers.get('host', request.url.netloc)}"
