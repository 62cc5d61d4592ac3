"""Reads PEP 503 pages, and plain folder listings, into the form that PEP 691 describes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from crane_core.errors import IndexBroken, InvalidURL
from crane_core.index.links import (
    DISTRIBUTION_SUFFIXES,
    Links,
    filename_in,
    hashes_in,
    is_plain_name,
)
from crane_core.index.page_bounds import why_unreadable
from crane_core.urls import join

if TYPE_CHECKING:
    from collections.abc import Iterator

    Attributes = dict[str, str | None]

VERSION_META = "pypi:repository-version"
STATUS_META = "pypi:project-status"
REASON_META = "pypi:project-status-reason"
TRACKS_META = "pypi:tracks"
ALTERNATE_META = "pypi:alternate-locations"
# Named one by one: Python's codecs include some that take forever, and no page has others.
_OLD_CHARSET = re.compile(
    r"charset\s*=\s*[\"']?(iso-8859-\d{1,2}|windows-125\d|utf-16(?:le|be)?)\b", re.IGNORECASE
)


def in_utf8(body: bytes, content_type: str) -> bytes:
    """Return an HTML body in UTF-8, from the encoding that its content type names."""
    charset = _OLD_CHARSET.search(content_type)
    return body.decode(charset[1], "replace").encode() if charset else body


def read_html(body: bytes, url: str, project: str) -> tuple[dict[str, Any], str]:
    """Return the PEP 691 document of an HTML page fetched from `url`, and the version it states.

    Links that are no distributions (folders, the parent, checksums) are left out; a file
    `NAME.metadata` beside a distribution counts as its metadata (PEP 658). Raises `IndexBroken`.
    """
    from selectolax.lexbor import LexborHTMLParser

    if reason := why_unreadable(body):
        raise IndexBroken(f"{url} is no index page: {reason}", hint="check the index URL")
    tree = LexborHTMLParser(body)
    files = _files(tree, _base_of(tree, url))
    if not files and not looks_like_index(tree, url):
        # Nothing would be worse than to take a maintenance page for *no versions*.
        raise IndexBroken(f"{url} is no index page", hint="check the index URL")
    version = stated_version(tree)
    if not version.startswith("1."):
        raise IndexBroken(f"{url} speaks version {version} of the simple API", hint="update crane")
    return _document(tree, project, files), version


def _files(tree: Any, base_url: str) -> list[dict[str, Any]]:
    """Return the file entries; one at a time, since a large page's links take much memory."""
    files, metadata_files = [], set()
    for name, target, fragment, attributes in _links(tree, base_url):
        if name.endswith(".metadata"):
            metadata_files.add(name)
        elif name.endswith(DISTRIBUTION_SUFFIXES) and is_plain_name(name):
            files.append(_file(name, target, fragment, attributes))
    if metadata_files:
        for file in files:
            if f"{file['filename']}.metadata" in metadata_files:
                file.setdefault("core-metadata", True)
    return files


def _document(tree: Any, project: str, files: list[dict[str, Any]]) -> dict[str, Any]:
    # Whatever version the page has: as JSON, 1.1 would promise sizes that HTML has no place for.
    meta: dict[str, Any] = {"api-version": "1.0"}
    document: dict[str, Any] = {"meta": meta, "name": project, "files": files}
    if status := _meta(tree, STATUS_META):
        reason = _meta(tree, REASON_META)
        document["project-status"] = {"status": status, **({"reason": reason} if reason else {})}
    if tracks := _metas(tree, TRACKS_META):
        meta["tracks"] = tracks
    if locations := _metas(tree, ALTERNATE_META):
        document["alternate-locations"] = locations
    return document


def _base_of(tree: Any, url: str) -> str:
    base = tree.css_first("base[href]")
    try:
        return join(url, (base.attributes.get("href") or "").strip() if base else "")
    except InvalidURL as error:
        raise IndexBroken(f"{url}: {error.message}") from None


def _links(tree: Any, base_url: str) -> Iterator[tuple[str, str, str, Attributes]]:
    """Yield each link's file name, absolute URL, fragment and attributes."""
    resolve = Links(base_url).url
    for anchor in tree.css("a[href]"):
        attributes: Attributes = anchor.attributes
        target, _, fragment = (attributes["href"] or "").strip().partition("#")
        try:
            url = resolve(target)
        except InvalidURL:
            continue
        yield filename_in(url), url, fragment, attributes


def looks_like_index(tree: Any, url: str) -> bool:
    """Whether an HTML page is an index page, be it empty: by PEP 629's mark, its title, or links.

    An index page links to what is below itself. A maintenance page, an application's shell or a
    login page does not.
    """
    if _meta(tree, VERSION_META):
        return True
    heading = " ".join((n.text() or "").strip() for n in tree.css("title, h1")).lower()
    if any(mark in heading for mark in ("links for", "simple index", "index of", "directory ")):
        return True
    return any(_is_below(target, url) for _, target, _, _ in _links(tree, url))


def stated_version(tree: Any) -> str:
    """Return the version of the API that a page states (PEP 629)."""
    return _meta(tree, VERSION_META) or "1.0"


def _is_below(target: str, url: str) -> bool:
    root, path = urlsplit(url).path, urlsplit(target).path
    return path.startswith(root if root.endswith("/") else root + "/") and path != root


def _file(name: str, url: str, fragment: str, attributes: Attributes) -> dict[str, Any]:
    hashes = hashes_in(fragment) if fragment else {}
    file: dict[str, Any] = {"filename": name, "url": url, "hashes": hashes}
    if len(attributes) == 1:
        return file
    if requires_python := attributes.get("data-requires-python"):
        file["requires-python"] = requires_python
    if "data-yanked" in attributes:
        file["yanked"] = attributes["data-yanked"] or True
    if metadata := _metadata(attributes):
        file["core-metadata"] = metadata
    if attributes.get("data-gpg-sig") in {"true", "false"}:
        file["gpg-sig"] = attributes["data-gpg-sig"] == "true"
    if provenance := attributes.get("data-provenance"):
        file["provenance"] = provenance
    return file


def _metadata(attributes: Attributes) -> dict[str, str] | bool:
    for key in ("data-core-metadata", "data-dist-info-metadata"):
        if key in attributes:
            algorithm, _, digest = (attributes[key] or "").partition("=")
            return {algorithm: digest} if digest else attributes[key] != "false"
    return False


def _meta(tree: Any, name: str) -> str | None:
    return next(iter(_metas(tree, name)), None)


def _metas(tree: Any, name: str) -> list[str]:
    contents = (node.attributes.get("content") for node in tree.css(f'meta[name="{name}"]'))
    return [str(content).strip() for content in contents if content]
