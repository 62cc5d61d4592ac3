"""What an index's answer to a page request means: found, missing, or a failure.

The distinction decides whether another source may be asked, so it is made in this one place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from crane_core.errors import IndexBroken, IndexRefused, IndexUnreachable
from crane_core.http import json_object
from crane_core.index.page import HTML_TYPES, JSON_TYPE, ProjectPage, parse_html, parse_json
from crane_core.index.page_bounds import why_too_many
from crane_core.index.page_html import in_utf8
from crane_core.text import is_text

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_FOUND_TITLE = "Crane - not found"
LONGEST_NOT_FOUND = 64 << 10


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """An index's answer to a page request, read in full.

    `headers` have lower-case names. Until `fresh_until`, in seconds since the epoch, it may be
    used again without asking; `stale` says that it is older, and that the index could not be asked.
    `from_cache` says that it was not asked.
    `packed` is the body as gzip, if it came so and nobody has kept it yet.
    """

    url: str
    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    fresh_until: float = 0.0
    stale: bool = False
    from_cache: bool = False
    packed: bytes = field(default=b"", compare=False, repr=False)

    @property
    def media_type(self) -> str:
        """The content type without parameters."""
        return self.content_type.partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Missing:
    """The index says that it has no such page."""


def read_project_answer(answer: PageAnswer, project: str) -> ProjectPage | Missing:
    """Return the page, or that there is none.

    Raises `IndexRefused`, `IndexUnreachable` or `IndexBroken` for anything that is neither; that
    never counts as missing.
    """
    if is_missing(answer):
        return Missing()
    require_ok(answer)
    refuse_too_many(answer)
    if answer.media_type == JSON_TYPE:
        return parse_json(answer.body, answer.url)
    if answer.media_type == "application/json":
        return _plain_json(answer, project)
    if answer.media_type in HTML_TYPES:
        refuse_login_page(answer)
        return parse_html(in_utf8(answer.body, answer.content_type), answer.url, project)
    raise IndexBroken(
        f"{answer.url} answered with {answer.media_type or 'no content type'}, no index page",
        hint="check the index URL",
    )


def is_missing(answer: PageAnswer) -> bool:
    """Whether the index says *not here*, in whichever way it has.

    Older Crane servers send their not-found page with status 200. Each of their listings has
    `'404': 'Not Found'` in a script, so only the exact title or the JSON code counts.
    """
    if answer.status in {404, 410}:
        return True
    if answer.status != 200:
        return False
    if answer.media_type == "application/json":
        if len(answer.body) > LONGEST_NOT_FOUND:
            return False
        document = json_object(answer.body) or {}
        return document.get("code") == 404 and document.get("status") == "not-found"
    return _title(answer.body) == NOT_FOUND_TITLE if answer.media_type == "text/html" else False


def require_ok(answer: PageAnswer) -> None:
    """Raise the error for a status that is not 200."""
    if answer.status == 200:
        return
    if answer.status in {401, 403}:
        raise refused(answer.url, f"HTTP {answer.status}")
    if answer.status == 429 or answer.status >= 500:
        raise IndexUnreachable(
            f"{answer.url} answered HTTP {answer.status}", hint="try again in a minute"
        )
    raise IndexBroken(f"{answer.url} answered HTTP {answer.status}", hint="check the index URL")


def refused(url: str, what: str) -> IndexRefused:
    """Return the error for an index that does not let the user in."""
    return IndexRefused(
        f"{url} refused the login ({what})",
        hint="ask the index's administrators for access, or log in as somebody else",
    )


def refuse_too_many(answer: PageAnswer, *, times: int = 1) -> None:
    """Raise `IndexBroken` for JSON of which a parser would make gigabytes."""
    is_json = answer.media_type in {JSON_TYPE, "application/json"}
    if is_json and (reason := why_too_many(answer.body, times=times)):
        raise IndexBroken(f"{answer.url} is no index page: {reason}", hint="check the index URL")


def refuse_login_page(answer: PageAnswer) -> None:
    """Raise `IndexRefused` if the page asks for a password."""
    lowered = answer.body[:200_000].lower()
    if (
        b'type="password"' in lowered
        or b"type='password'" in lowered
        or b"type=password" in lowered
    ):
        raise refused(answer.url, "it answered with a login page")


def _plain_json(answer: PageAnswer, project: str) -> ProjectPage:
    if (data := _listing_in(answer.body)) is not None:
        return _crane_listing(answer, data, project)
    return parse_json(answer.body, answer.url)


def _listing_in(body: bytes) -> dict[str, object] | None:
    document = json_object(body) or {}
    data = document.get("data")
    return data if document.get("status") == "success" and isinstance(data, dict) else None


def _crane_listing(answer: PageAnswer, data: dict[str, object], project: str) -> ProjectPage:
    """Read the JSON form of a Crane server's folder listing, by way of the HTML it stands for."""
    files = data.get("files")
    if not isinstance(files, list):
        raise IndexBroken(f"{answer.url} is no folder listing", hint="check the index URL")
    names: list[Any] = [file.get("name") for file in files if isinstance(file, dict)]
    links = "".join(f'<a href="{quote(name)}"></a>' for name in names if is_text(name))
    return parse_html(f"<title>Links for</title>{links}".encode(), answer.url, project)


def _title(body: bytes) -> str:
    start = body.find(b"<title>")
    end = body.find(b"</title>", start)
    return body[start + 7 : end].decode(errors="replace").strip() if 0 <= start < end else ""
