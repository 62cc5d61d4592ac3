"""Pages for tools: the private index's files are linked through this gateway."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from crane_core.errors import InvalidURL
from crane_core.urls import Origin, are_plainly_within, is_loopback, origin_of, within_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crane_core.config.model import Index
    from crane_core.index.page import ProjectPage
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
    ours = _Ours(index, base_url)
    known = provenance.sha256_of([file["url"] for file in page.files if not file["hashes"]])

    def change(file: dict[str, Any]) -> dict[str, Any]:
        changed = file
        url = file["url"]
        if local := ours.local_url(url):
            changed = {**file, "url": local}
            if not file["hashes"] and url in known:
                changed["hashes"] = {"sha256": known[url]}
        # PEP 740: it needs the token as the file itself does.
        attested = file.get("provenance")
        if isinstance(attested, str) and (local := ours.local_url(attested)):
            changed = {**changed, "provenance": local}
        return changed

    return page.with_files(change)


def localised_json(found: SourcedPage, base_url: str) -> bytes | None:
    """Return what `localised` is as JSON, if that is the page's own text but for its links.

    None if it has to be looked at file by file.
    """
    text = found.page.text
    if text is None or not _may_be_linked(text.leads_to, origin_of(found.url)):
        return None
    if found.index is None:
        return found.page.to_json()
    folder = _local_folder(found.page.files, text.leads_to, found.index, base_url)
    return text.linked_to(folder) if folder is not None else None


def _local_folder(
    files: Sequence[dict[str, Any]], leads_to: str, index: Index, base_url: str
) -> str | None:
    """Return where all links that begin with `leads_to` are to begin; None if not all alike."""
    ours = _Ours(index, base_url)
    attested = [p for file in files if isinstance(p := file.get("provenance"), str)]
    if any(map(ours.local_url, attested)):
        return None
    if origin_of(leads_to) != origin_of(index.token_prefix):
        return leads_to
    urls = [file["url"] for file in files if file["hashes"]]
    if len(urls) < len(files) or not are_plainly_within(urls, index.token_prefix):
        return None
    return ours.local_folder(leads_to)


def without_local_files(found: SourcedPage) -> ProjectPage:
    """Return the page without files on this machine, unless its index is there itself.

    pip sends the gateway's secret to every port of the gateway's address: a page must not be
    able to name one.
    """
    own = origin_of(found.url)
    may_be_linked = cache(lambda host: _may_be_linked(host, own))
    root = f"{own}/"  # of nearly all files, which need no closer look
    kept = [
        file
        for file in found.page.files
        if (url := file["url"]).startswith(root) or may_be_linked(_host_of(url))
    ]
    return found.page if len(kept) == len(found.page.files) else found.page.with_just(kept)


def _host_of(url: str) -> str:
    """Return the part of a URL that its origin depends on (RFC 3986 §3.2)."""
    scheme, separator, rest = url.partition("://")
    host = rest.partition("/")[0]
    if "?" in host or "#" in host:
        host = re.split(r"[?#]", host, maxsplit=1)[0]
    return scheme + separator + host


def _may_be_linked(url: str, own: Origin) -> bool:
    try:
        origin = origin_of(url)
    except InvalidURL:
        return False
    return origin == own or not is_loopback(origin.host)


class _Ours:
    """What lies below an index's prefix, and where it is at this gateway."""

    def __init__(self, index: Index, base_url: str) -> None:
        self._is_below = within_folder(index.token_prefix)
        self._root = f"{origin_of(index.token_prefix)}/"
        self._files = f"{base_url}/{index.name}/files"

    def local_url(self, url: str) -> str | None:
        """Return the gateway's URL for a URL of the index, None if it is none."""
        if not self._is_below(url):
            return None
        if local := self.local_folder(url):
            return local
        parts = urlsplit(url)
        return f"{self._files}{parts.path}{f'?{parts.query}' if parts.query else ''}"

    def local_folder(self, url: str) -> str | None:
        """Return where a folder of the index is at the gateway, None if that takes a closer look.

        Not everything in it need be the index's.
        """
        if not url.startswith(self._root):
            return None
        return f"{self._files}/{url[len(self._root) :]}"
