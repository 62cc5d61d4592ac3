"""Index pages as tools see them: from the source that may answer, and linked as they need it."""

from __future__ import annotations

import asyncio
import hashlib
import html
import json
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from crane_core.gateway.localise import localised, localised_json
from crane_core.index.page import JSON_TYPE
from crane_core.index.parsed import LARGEST_KEPT

if TYPE_CHECKING:
    from crane_core.gateway.metadata import WheelMetadata
    from crane_core.index.page import ProjectPage
    from crane_core.index.provenance import Provenance
    from crane_core.index.root import RootPage
    from crane_core.index.source import SourcedPage

MOST_BYTES = 32 << 20
# A page with more files than this is not written between two other requests, but beside them.
MANY_FILES = 200
MANY_AS_TEXT = 2000  # where only links change in its text


@dataclass(frozen=True, slots=True)
class FinishedPage:
    """A page as it goes to a tool, with its validator."""

    body: bytes
    etag: str
    content_type: str


class PageWriter:
    """Writes pages as tools see them, and writes none twice that has not changed."""

    def __init__(self, metadata: WheelMetadata, provenance: Provenance) -> None:
        self._metadata = metadata
        self._provenance = provenance
        self._size = 0
        self._written: OrderedDict[
            tuple[str, str, str | None, str, bool], tuple[ProjectPage, int, FinishedPage]
        ] = OrderedDict()

    async def write(
        self,
        found: SourcedPage,
        project: str,
        base_url: str | None,
        content_type: str,
        *,
        needs_hashes: bool = False,
    ) -> FinishedPage:
        """Return the page with what the gateway adds to it, in the negotiated form.

        Its links lead below `base_url`; without one they stay as the index wrote them, but for
        `needs_hashes` (see `Wish`).
        """
        key = found.url, project, base_url, content_type, needs_hashes
        known = self._written.get(key)
        # Before anything is looked up: what comes meanwhile is for the next time.
        version = self._metadata.version(found, project)
        if known and known[0] is found.page and known[1] == version:
            self._written.move_to_end(key)
            return known[2]
        make = self._offered_with_hashes if needs_hashes else self._metadata.offered
        offered = replace(found, page=await make(found))
        count, body = len(offered.page.files), None
        if count < MANY_AS_TEXT:
            body = _as_text(offered, base_url, content_type)
        if body is not None or count < MANY_FILES:
            finished, is_whole = self._finish(offered, base_url, content_type, body)
        else:
            finished, is_whole = await asyncio.to_thread(
                self._finish, offered, base_url, content_type
            )
        if is_whole:
            self._keep(key, found.page, version, finished)
        return finished

    async def _offered_with_hashes(self, found: SourcedPage) -> ProjectPage:
        """Return the page with the hashes that we know, and no metadata where one is missing."""
        bare = [file["url"] for file in found.page.files if not file["hashes"]]
        if not bare:
            return await self._metadata.offered(found)
        known = await asyncio.to_thread(self._provenance.sha256_of, bare)
        page = found.page.with_files(
            lambda file: (
                {**file, "hashes": {"sha256": known[file["url"]]}}
                if not file["hashes"] and file["url"] in known
                else file
            )
        )
        offered = await self._metadata.offered(replace(found, page=page))
        both = zip(offered.files, page.files, strict=True)
        return page.with_just([new if new["hashes"] else old for new, old in both])

    def _finish(
        self, found: SourcedPage, base_url: str | None, content_type: str, body: bytes | None = None
    ) -> tuple[FinishedPage, bool]:
        """Return the page, and whether no hash may yet be learned for a file without one."""
        page, body = found.page, body or _as_text(found, base_url, content_type)
        if body is None:
            page = localised(found, base_url, self._provenance) if base_url else page
            body = serialise(page, content_type)
        is_whole = all(file["hashes"] for file in page.files)
        return FinishedPage(body, etag_of(body), content_type), is_whole

    def _keep(
        self,
        key: tuple[str, str, str | None, str, bool],
        page: ProjectPage,
        version: int,
        finished: FinishedPage,
    ) -> None:
        if len(finished.body) > LARGEST_KEPT:
            return
        if old := self._written.pop(key, None):
            self._size -= len(old[2].body)
        self._written[key] = page, version, finished
        self._size += len(finished.body)
        while self._size > MOST_BYTES:
            self._size -= len(self._written.popitem(last=False)[1][2].body)


def _as_text(found: SourcedPage, base_url: str | None, content_type: str) -> bytes | None:
    """Return the page made of its own text, None where it has to be written."""
    if content_type != JSON_TYPE or found.page.text is None:
        return None
    return localised_json(found, base_url) if base_url else found.page.to_json()


def etag_of(body: bytes) -> str:
    """Return a strong validator of these bytes (RFC 9110 §8.8.3)."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def serialise(page: ProjectPage, content_type: str) -> bytes:
    """Return the page in the negotiated form."""
    return page.to_json() if content_type == JSON_TYPE else page.to_html()


def serialise_root(root: RootPage, content_type: str) -> bytes:
    """Return a list of projects in the negotiated form."""
    document = root.document
    if content_type == JSON_TYPE:
        return json.dumps(document, separators=(",", ":")).encode()
    version = html.escape(str(document["meta"].get("api-version", "1.0")))
    links = "".join(_link(entry["name"]) for entry in document["projects"])
    return (
        "<!DOCTYPE html>\n<html>\n  <head>\n"
        f'    <meta name="pypi:repository-version" content="{version}">\n'
        f"    <title>Simple index</title>\n  </head>\n  <body>\n{links}  </body>\n</html>\n"
    ).encode("ascii", "xmlcharrefreplace")


def _link(name: str) -> str:
    return f'    <a href="{canonicalize_name(name)}/">{html.escape(name)}</a><br>\n'
