"""An index's root page: the list of its projects, and proof that the user may read it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from packaging.utils import canonicalize_name

from crane_core.errors import IndexBroken, IndexRefused, InvalidURL
from crane_core.index.answer import (
    PageAnswer,
    is_missing,
    refuse_login_page,
    refuse_too_many,
    require_ok,
)
from crane_core.index.links import DISTRIBUTION_SUFFIXES, Links
from crane_core.index.page import HTML_TYPES, JSON_TYPE, strict_json
from crane_core.index.page_bounds import why_unreadable
from crane_core.index.page_html import in_utf8, looks_like_index, stated_version
from crane_core.index.parsed import LONG_BYTES
from crane_core.text import is_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crane_core.index.source import PageFetcher

MAX_ROOT_BYTES = 64 << 20
# A normalised name (PEP 503). A tool can ask for nothing else.
_PROJECT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class RootPage:
    """What a root page lists: each normalised name with its folders, as the index spells them.

    `is_project` says that it lists distributions, so it is a project's page and no root.
    `document` is the list as PEP 691 has it, with the keys that we do not know, and without what
    is no project's name.
    """

    projects: dict[str, tuple[str, ...]]
    is_project: bool = False
    document: dict[str, Any] = field(default_factory=lambda: _document((), {}), compare=False)


async def read_root(fetch: PageFetcher, root_url: str) -> RootPage | None:
    """Return the root page; None if the index says that it has none.

    Only a page that is recognisably a list of projects counts: it will be taken as proof that
    what it does not list is not there. Raises a `SourceError` for anything else.
    """
    answer = await fetch(root_url + "/", MAX_ROOT_BYTES)
    if is_missing(answer):
        return None
    require_ok(answer)
    if len(answer.body) < LONG_BYTES:
        return _read(answer, root_url)
    return await asyncio.to_thread(_read, answer, root_url)


def _read(answer: PageAnswer, root_url: str) -> RootPage:
    # PyPI's has 700 thousand projects, each an object of two values.
    refuse_too_many(answer, times=2)
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
    try:
        document = strict_json(answer.body)
    except (ValueError, RecursionError):
        raise _no_root(answer) from None
    if not isinstance(document, dict):
        raise _no_root(answer)
    data = document.get("data")
    if document.get("status") == "success" and isinstance(data, dict):
        return _from_listing(answer, data)
    meta = document.get("meta")
    meta = {"api-version": "1.0", **(meta if isinstance(meta, dict) else {})}
    _require_major_1(answer, str(meta["api-version"]))
    entries = _named(answer, document.get("projects"))
    listed = _document(entries, meta)
    return RootPage(_by_name(e["name"] for e in entries), document={**document, **listed})


def _from_listing(answer: PageAnswer, data: dict[str, Any]) -> RootPage:
    """Read a Crane server's folder listing."""
    entries = _named(answer, data.get("directories"))
    files = data.get("files")
    listed = files if isinstance(files, list) else []
    is_project = any(_is_file(file.get("name")) for file in listed if isinstance(file, dict))
    names = [entry["name"] for entry in entries]
    return RootPage(_by_name(names), is_project, _document(_entries(names), {}))


def _named(answer: PageAnswer, entries: object) -> list[dict[str, Any]]:
    if not isinstance(entries, list):
        raise _no_root(answer)
    found = (entry for entry in entries if isinstance(entry, dict))
    return [entry for entry in found if entry.get("name") and is_text(entry["name"])]


def _from_html(answer: PageAnswer, root_url: str) -> RootPage:
    from selectolax.lexbor import LexborHTMLParser

    body = in_utf8(answer.body, answer.content_type)
    # A listing may have any number of links.
    if reason := why_unreadable(body, most_links=MAX_ROOT_BYTES):
        raise IndexBroken(f"{answer.url} is no index page: {reason}", hint="check the index URL")
    tree = LexborHTMLParser(body)
    if not looks_like_index(tree, answer.url):
        raise _no_root(answer)
    version = stated_version(tree)
    _require_major_1(answer, version)
    spellings, names, is_project = [], [], False
    links, own_path = Links(f"{root_url}/"), f"{urlsplit(root_url).path}/"
    for anchor in tree.css("a[href]"):
        segment = _last_segment(anchor.attributes["href"] or "", links, own_path)
        is_project = is_project or _is_file(segment)
        text = (anchor.text() or "").strip().rstrip("/")
        # The link's text too: some servers link to pages that are named otherwise.
        spellings += [name for name in (segment, text) if name]
        # "The text of the anchor tag MUST be the name of the project"; in a folder listing it
        # may be anything.
        names.append(text if _is_name(text) else segment)
    document = _document(_entries(names), {"api-version": version})
    return RootPage(_by_name(spellings), is_project, document)


def _last_segment(href: str, links: Links, own_path: str) -> str:
    """Return the folder that a link names, wherever it leads; empty if it leads upwards."""
    try:
        path = urlsplit(links.url(href.strip().partition("#")[0])).path.rstrip("/")
    except InvalidURL:
        return ""
    return "" if own_path.startswith(f"{path}/") else unquote(path.rpartition("/")[2])


def _require_major_1(answer: PageAnswer, version: str) -> None:
    if version.partition(".")[0] != "1":
        raise IndexBroken(
            f"{answer.url} speaks version {version} of the simple API", hint="update crane"
        )


def _by_name(spellings: Iterable[str]) -> dict[str, tuple[str, ...]]:
    projects: dict[str, tuple[str, ...]] = {}
    for spelling in spellings:
        known = projects.get(name := canonicalize_name(spelling), ())
        if spelling not in known and len(known) < 4:
            projects[name] = (*known, spelling)
    return projects


def _entries(names: Iterable[str]) -> Iterable[dict[str, Any]]:
    return ({"name": name} for name in names)


def _document(entries: Iterable[dict[str, Any]], meta: dict[str, Any]) -> dict[str, Any]:
    """Return the PEP 691 document of a list, with one entry for each project."""
    projects: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name = canonicalize_name(entry["name"])
        if _PROJECT.fullmatch(name):
            projects.setdefault(name, entry)
    return {"meta": {"api-version": "1.0", **meta}, "projects": list(projects.values())}


def _is_name(text: str) -> bool:
    return _PROJECT.fullmatch(canonicalize_name(text)) is not None


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
