"""A project page, as a PEP 691 document whose unknown keys survive.

Read in this order: PEP 503 (HTML), 629 (versions), 592 (yank), 658 and 714 (metadata), 691
(JSON), 700 (sizes), 708 (tracks), 740 (provenance), 792 (status).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import TYPE_CHECKING, Any

from crane_core.errors import IndexBroken, InvalidURL
from crane_core.index.links import (
    DISTRIBUTION_SUFFIXES,
    Links,
    are_as_they_are,
    are_plain_names,
    is_plain_name,
)
from crane_core.index.page_bounds import MOST_LINKS
from crane_core.index.page_html import looks_like_index, read_html
from crane_core.index.page_markup import METADATA_KEYS, core_metadata, write_html
from crane_core.index.page_text import PageText, is_plain, texts_of
from crane_core.text import is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

__all__ = [
    "ACCEPT", "DISTRIBUTION_SUFFIXES", "HTML_TYPE", "HTML_TYPES", "JSON_TYPE", "METADATA_KEYS",
    "ProjectPage", "core_metadata", "looks_like_index", "parse_html", "parse_json", "strict_json",
]  # fmt: skip

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "application/vnd.pypi.simple.v1+html"
ACCEPT = f"{JSON_TYPE}, {HTML_TYPE};q=0.2, text/html;q=0.1"
HTML_TYPES = frozenset({"text/html", HTML_TYPE, "application/xhtml+xml"})
# So many at a time: the encoder lets no other thread run until it is done.
_FILES_AT_A_TIME = 500
# What was read from JSON has no rings.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """A project detail document (PEP 691); every file URL in it is absolute.

    `html_version` is what a page that came as HTML stated: the same as JSON has less to tell.
    `text` is what the page came as, if it can be written by changing that.
    """

    document: dict[str, Any]
    html_version: str = ""
    text: PageText | None = field(default=None, compare=False, repr=False)

    @property
    def files(self) -> list[dict[str, Any]]:
        """The file entries."""
        files: list[dict[str, Any]] = self.document["files"]
        return files

    def with_files(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> ProjectPage:
        """Return a page in which each file entry is replaced by `change(entry)`."""
        return self.with_just([change(file) for file in self.files])

    def with_just(self, files: list[dict[str, Any]]) -> ProjectPage:
        """Return a page with these file entries."""
        return replace(self, document={**self.document, "files": files}, text=None)

    def announcing_metadata(self, urls: Container[str]) -> ProjectPage:
        """Return a page that offers the metadata of the files at these URLs (PEP 714)."""
        marks = [file["url"] in urls for file in self.files]
        files = [
            {**file, "core-metadata": True} if is_marked else file
            for file, is_marked in zip(self.files, marks, strict=True)
        ]
        said_before = any("core-metadata" in file for file in compress(self.files, marks))
        text = None if said_before or self.text is None else self.text.announcing(marks)
        return replace(self.with_just(files), text=text)

    def to_json(self) -> bytes:
        """Serialise as PEP 691 JSON."""
        if self.text is not None:
            return self.text.linked_to(self.text.leads_to)
        return b"{" + b",".join(self._members()) + b"}"

    def _members(self) -> Iterator[bytes]:
        for key, value in self.document.items():
            if key == "files":
                yield b'"files":[' + b",".join(_encoded(value)) + b"]"
            else:
                yield f"{_encode(key)}:{_encode(value)}".encode()

    def to_html(self) -> bytes:
        """Serialise as PEP 503 HTML, with the attributes that HTML has a place for."""
        version = self.html_version or self.document["meta"].get("api-version", "1.0")
        return write_html(self.document, str(version))


def _encoded(files: list[dict[str, Any]]) -> Iterator[bytes]:
    for start in range(0, len(files), _FILES_AT_A_TIME):
        yield _encode(files[start : start + _FILES_AT_A_TIME]).encode()[1:-1]


def parse_html(body: bytes, url: str, project: str) -> ProjectPage:
    """Return the page in a PEP 503 body, or in a plain folder listing, fetched from `url`.

    Raises `IndexBroken`.
    """
    return ProjectPage(*read_html(body, url, project))


def parse_json(body: bytes, url: str) -> ProjectPage:
    """Return the page in a PEP 691 body that was fetched from `url`. Raises `IndexBroken`."""
    try:
        document = strict_json(body)
        major = str(document["meta"]["api-version"]).split(".")[0]
        files, text = _files(document["files"], Links(url), body)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InvalidURL) as error:
        raise IndexBroken(f"{url} is no PEP 691 page ({type(error).__name__}: {error})") from None
    if major != "1":
        raise IndexBroken(f"{url} speaks version {major} of the simple API", hint="update crane")
    return ProjectPage({**document, "files": files}, text=text)


def strict_json(body: bytes) -> Any:
    """Return what a JSON text says. Raises `ValueError` for what could not be written as JSON."""
    return json.loads(body, parse_constant=_no_constant, parse_float=_finite)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        # It would be written as `Infinity`.
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def _files(
    files: list[dict[str, Any]], links: Links, body: bytes
) -> tuple[list[dict[str, Any]], PageText | None]:
    if len(files) > MOST_LINKS:
        raise ValueError(f"more than {MOST_LINKS} files")
    if files and is_plain(body) and (starts := _plain_start(files, links, body)):
        start, leads_to = starts
        if start != leads_to:
            for file in files:
                file["url"] = leads_to + file["url"][len(start) :]
        return files, PageText.of(body, len(files), start, leads_to)
    read = [_file(file, links) for file in files]
    return [file for file in read if is_plain_name(file["filename"])], None


def _plain_start(files: list[dict[str, Any]], links: Links, body: bytes) -> tuple[str, str] | None:
    """Return what all links begin with and where that leads; None if `_file` has work to do."""
    names, targets = texts_of(files, "filename"), texts_of(files, "url")
    if names is None or targets is None or not are_plain_names(names):
        return None
    if any(type(file.get("hashes")) is not dict for file in files):
        return None
    if b'dist-info-metadata"' in body and any(_speaks_of_metadata_as_before(f) for f in files):
        return None
    if b'"provenance"' in body:
        attested = [p for file in files if isinstance(p := file.get("provenance"), str)]
        if attested and not are_as_they_are(attested):
            return None
    return links.common_start(targets)


def _speaks_of_metadata_as_before(file: dict[str, Any]) -> bool:
    return "core-metadata" not in file and core_metadata(file) is not None


def _file(file: dict[str, Any], links: Links) -> dict[str, Any]:
    filename, target, hashes = file["filename"], file["url"], file.get("hashes", {})
    if not is_text(filename) or not is_text(target) or not isinstance(hashes, dict):
        raise TypeError("a file entry is malformed")
    changed: dict[str, Any] = {}
    if (url := links.url(target)) != target:
        changed["url"] = url
    if "hashes" not in file:
        changed["hashes"] = hashes
    if "core-metadata" not in file and (metadata := core_metadata(file)) is not None:
        # PEP 714: under its new name too, which is the only one that PDM reads.
        changed["core-metadata"] = metadata
    if isinstance(provenance := file.get("provenance"), str):
        changed["provenance"] = _provenance(provenance, links)
    return {**file, **changed} if changed else file


def _provenance(target: str, links: Links) -> str | None:
    try:
        return links.url(target)
    except InvalidURL:
        return None  # as PEP 740 says *there is none*; nobody can fetch it
