"""An index's root page: the list of its projects, and proof that the user may read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from packaging.utils import canonicalize_name

from crane_core.errors import IndexBroken, IndexRefused, InvalidURL
from crane_core.http import json_object
from crane_core.index.answer import PageAnswer, is_missing, refuse_login_page, require_ok
from crane_core.index.page import (
    DISTRIBUTION_SUFFIXES,
    HTML_TYPES,
    JSON_TYPE,
    looks_like_index,
)
from crane_core.urls import join

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crane_core.index.source import PageFetcher

MAX_ROOT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class RootPage:
    """What a root page lists: each normalised name with its folders, as the index spells them.

    `is_project` says that it lists distributions, so it is a project's page and no root.
    """

    projects: dict[str, tuple[str, ...]]
    is_project: bool = False


async def read_root(fetch: PageFetcher, root_url: str) -> RootPage | None:
    """Return the root page; None if the index says that it has none.

    Only a page that is recognisably a list of projects counts: it will be taken as proof that
    what it does not list is not there. Raises a `SourceError` for anything else.
    """
    answer = await fetch(root_url + "/", MAX_ROOT_BYTES)
    if is_missing(answer):
        return None
    require_ok(answer)
    if answer.media_type in {JSON_TYPE, "application/json"}:
        return _from_json(answer, root_url)
    if answer.media_type in HTML_TYPES:
        refuse_login_page(answer)
        return _from_html(answer, root_url)
    raise _no_root(answer)


def _no_root(answer: PageAnswer) -> IndexBroken:
    return IndexBroken(
        f"{answer.url} answered with something that is no list of projects",
        hint="check the index URL",
    )


def _from_json(answer: PageAnswer, root_url: str) -> RootPage:
    document = json_object(answer.body) or {}
    data = document.get("data")
    entries, files = document.get("projects"), None
    if document.get("status") == "success" and isinstance(data, dict):
        # A Crane server's folder listing.
        entries, files = data.get("directories"), data.get("files")
    if not isinstance(entries, list):
        raise _no_root(answer)
    names = [entry.get("name") for entry in entries if isinstance(entry, dict)]
    listed = files if isinstance(files, list) else []
    is_project = any(_is_file(file.get("name")) for file in listed if isinstance(file, dict))
    return RootPage(_by_name(n for n in names if isinstance(n, str) and n), is_project)


def _from_html(answer: PageAnswer, root_url: str) -> RootPage:
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(answer.body)
    if not looks_like_index(tree, answer.url):
        raise _no_root(answer)
    spellings, is_project = [], False
    for anchor in tree.css("a[href]"):
        segment = _last_segment(anchor, root_url)
        is_project = is_project or _is_file(segment)
        text = (anchor.text() or "").strip().rstrip("/")
        # The link's text too: some servers link to pages that are named otherwise.
        spellings += [name for name in (segment, text) if name]
    return RootPage(_by_name(spellings), is_project)


def _last_segment(anchor: Any, root_url: str) -> str:
    """Return the folder that a link names, wherever it leads; empty if it leads upwards."""
    try:
        path = urlsplit(join(root_url + "/", (anchor.attributes.get("href") or "").strip())).path
    except InvalidURL:
        return ""
    if (urlsplit(root_url).path + "/").startswith(path.rstrip("/") + "/"):
        return ""
    return unquote(path.rstrip("/").rsplit("/", 1)[-1])


def _by_name(spellings: Iterator[str] | list[str]) -> dict[str, tuple[str, ...]]:
    projects: dict[str, tuple[str, ...]] = {}
    for spelling in spellings:
        known = projects.get(name := canonicalize_name(spelling), ())
        if spelling not in known and len(known) < 4:
            projects[name] = (*known, spelling)
    return projects


def _is_file(name: object) -> bool:
    return isinstance(name, str) and name.endswith(DISTRIBUTION_SUFFIXES)


def folder_url(base: str, spelling: str) -> str:
    """Return the URL of a listed folder: below the index, whatever host the link named."""
    return f"{base}/{quote(spelling, safe='')}/"


def no_access(root_url: str, name: str) -> IndexRefused:
    """Return the error for an index whose root answers *not found* to a logged-in user.

    A Crane server says *not found* for *forbidden*. If we took its word, every private name
    would be asked for at the fallback index.
    """
    return IndexRefused(
        f"{root_url}/ answers 'not found', which may mean 'no access', so no other index is asked",
        hint=f"ask for access; if this index just has no root page: "
        f"crane index set {name} --no-root-required",
    )
