"""An index's root page: the list of its projects, and proof that the user may read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

from packaging.utils import canonicalize_name

from crane_core.errors import IndexRefused
from crane_core.http import json_object
from crane_core.index.answer import PageAnswer, is_missing, refuse_login_page, require_ok
from crane_core.index.page import JSON_TYPE

if TYPE_CHECKING:
    from crane_core.index.source import PageFetcher

MAX_ROOT_BYTES = 64 << 20
LIFETIME = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class RootPage:
    """The projects that a root page lists: normalised name to URL, as the index spells it."""

    projects: dict[str, str]


async def read_root(fetch: PageFetcher, root_url: str) -> RootPage | None:
    """Return the root page; None if the index says that it has none.

    Raises a `SourceError` as for a project page.
    """
    answer = await fetch(root_url + "/", MAX_ROOT_BYTES)
    if is_missing(answer):
        return None
    require_ok(answer)
    if answer.media_type in {JSON_TYPE, "application/json"}:
        names = list(_json_names(answer))
        return RootPage({canonicalize_name(n): f"{root_url}/{n}/" for n in names})
    refuse_login_page(answer)
    return RootPage(dict(_html_projects(answer)))


def _json_names(answer: PageAnswer) -> list[str]:
    document = json_object(answer.body) or {}
    entries = document.get("projects")
    if entries is None and isinstance(data := document.get("data"), dict):
        entries = data.get("directories")
    names = [e.get("name") for e in entries if isinstance(e, dict)] if entries else []
    return [name for name in names if isinstance(name, str) and name and "/" not in name]


def _html_projects(answer: PageAnswer) -> list[tuple[str, str]]:
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(answer.body)
    projects: list[tuple[str, str]] = []
    for anchor in tree.css("a[href]"):
        url = urljoin(answer.url, (anchor.attributes.get("href") or "").strip())
        parts = urlsplit(url)
        name = unquote(parts.path.rstrip("/").rsplit("/", 1)[-1])
        below = url.startswith(answer.url) and url != answer.url
        if below and name and not parts.query and not parts.fragment:
            projects.append((canonicalize_name(name), url.rstrip("/") + "/"))
    return projects


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
