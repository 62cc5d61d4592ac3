"""Index pages as tools see them: from the source that may answer, with links to this gateway."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from crane_core.errors import InvalidURL
from crane_core.gateway.responses import header
from crane_core.index.page import HTML_TYPE, JSON_TYPE, ProjectPage
from crane_core.urls import Origin, is_loopback, origin_of, within

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crane_core.config.model import Index
    from crane_core.index.provenance import Provenance
    from crane_core.index.source import SourcedPage


def localised(found: SourcedPage, base_url: str, provenance: Provenance) -> ProjectPage:
    """Return the page with the private index's files linked through the gateway.

    Other files keep their URL: the tool fetches them itself, without a token. A hash that was
    seen before is added where the index gives none.
    """
    index = found.index
    page = without_local_files(found)
    if index is None:
        return page
    unhashed = [file["url"] for file in page.files if not file["hashes"]]
    known = provenance.sha256_of(unhashed)

    def change(file: dict[str, Any]) -> dict[str, Any]:
        url = file["url"]
        if not within(url, index.token_prefix):
            return file
        hashes = file["hashes"] or ({"sha256": known[url]} if url in known else {})
        return {**file, "url": local_url(url, index, base_url), "hashes": hashes}

    return page.with_files(change)


def without_local_files(found: SourcedPage) -> ProjectPage:
    """Return the page without files on this machine, unless its index is there itself.

    pip sends the gateway's secret to every port of the gateway's address: a page must not be
    able to name one.
    """
    own = origin_of(found.url)
    kept = [f for f in found.page.files if _may_be_linked(f["url"], own)]
    if len(kept) == len(found.page.files):
        return found.page
    return ProjectPage({**found.page.document, "files": kept})


def _may_be_linked(url: str, own: Origin) -> bool:
    try:
        origin = origin_of(url)
    except InvalidURL:
        return False
    return origin == own or not is_loopback(origin.host)


def local_url(url: str, index: Index, base_url: str) -> str:
    """Return the gateway's URL for a file of the index."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{base_url}/{index.name}/files{parts.path}{query}"


def negotiate(scope: dict[str, Any]) -> str:
    """Return the content type that the tool prefers (PEP 691 §Content-Type selection)."""
    ranked = sorted(
        ((_quality(part), part.partition(";")[0].strip().lower()) for part in _accepted(scope)),
        key=lambda pair: -pair[0],
    )
    for quality, kind in ranked:
        if quality > 0 and kind in {JSON_TYPE, "application/vnd.pypi.simple.latest+json"}:
            return JSON_TYPE
        if quality > 0 and kind in {HTML_TYPE, "application/vnd.pypi.simple.latest+html"}:
            return HTML_TYPE
        if quality > 0 and kind in {"text/html", "text/*", "*/*"}:
            return "text/html"
    return "text/html"


def serialise(page: ProjectPage, content_type: str) -> bytes:
    """Return the page in the negotiated form."""
    return page.to_json() if content_type == JSON_TYPE else page.to_html()


def serialise_root(projects: Iterable[str], content_type: str) -> bytes:
    """Return a list of projects in the negotiated form."""
    names = sorted(projects)
    if content_type == JSON_TYPE:
        entries = [{"name": name} for name in names]
        return json.dumps({"meta": {"api-version": "1.0"}, "projects": entries}).encode()
    links = "".join(f'<a href="{html.escape(n)}/">{html.escape(n)}</a><br>\n' for n in names)
    return f"<!DOCTYPE html>\n<html><body>\n{links}</body></html>\n".encode()


def _accepted(scope: dict[str, Any]) -> list[str]:
    return header(scope, b"accept").decode("latin-1").split(",")


def _quality(part: str) -> float:
    _, found, value = part.replace(" ", "").partition(";q=")
    try:
        return float(value) if found else 1.0
    except ValueError:
        return 0.0
