"""Where uploads come in: the URLs that tools are given as a repository's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crane_core.errors import InvalidURL
from crane_core.gateway.responses import header
from crane_core.gateway.uploads.form import boundary_of
from crane_core.urls import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crane_core.config.model import Index

# What repositories call the place below theirs: PyPI and many others, Azure, and habit.
BELOW = ("/legacy", "/upload", "/simple")


def is_form(scope: dict[str, Any]) -> bool:
    """Whether a request may be an upload in the legacy form, by its head."""
    if scope["method"] != "POST":
        return False
    return boundary_of(header(scope, b"content-type")) is not None


def upload_index(scope: dict[str, Any], url: str, indexes: Iterable[Index]) -> Index | None:
    """Return the index that an upload to this URL is for, None if it is none, or for nobody here.

    A Crane server's own uploads go to the files' paths, which are none of these.
    """
    if not is_form(scope):
        return None
    try:
        # With a query it would be none to a reader of URLs, and one to the index.
        wanted = canonical(url.partition("?")[0])
    except InvalidURL:
        return None
    matching = [index for index in indexes if wanted in _places(index)]
    # The deepest: an index may lie below another one.
    return max(matching, key=lambda index: len(index.upload_base), default=None)


def _places(index: Index) -> Iterator[str]:
    for base in (index.url, index.token_prefix, index.upload_base):
        yield base
        yield from (base + below for below in BELOW)


def upload_target(index: Index, url: str | None) -> str:
    """Return where a Warehouse-style index takes uploads; `url` is where the tool would send it.

    Never to the list of projects, whose URL tools that install are given.
    """
    if index.upload_url:
        return index.upload_url
    root = f"{index.token_prefix}/"
    return root if url is None or url.rstrip("/").endswith("/simple") else url


def switched_off(index: Index) -> str:
    """Return what is said where uploads are ruled out."""
    name = index.name
    return f"publishing to {name} is switched off; run: crane index set {name} --publish auto"
