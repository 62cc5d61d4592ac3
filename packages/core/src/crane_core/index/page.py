"""A project page, as a PEP 691 document whose unknown keys survive.

Read in this order: PEP 503 (HTML), 629 (versions), 592 (yank), 658 and 714 (metadata), 691
(JSON), 700 (sizes), 708 (tracks), 740 (provenance), 792 (status).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from crane_core.errors import IndexBroken, InvalidURL
from crane_core.index.links import DISTRIBUTION_SUFFIXES, Links, is_plain_name
from crane_core.index.page_bounds import MOST_LINKS
from crane_core.index.page_html import looks_like_index, read_html
from crane_core.index.page_markup import METADATA_KEYS, core_metadata, write_html
from crane_core.text import is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    """

    document: dict[str, Any]
    html_version: str = ""

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
        return replace(self, document={**self.document, "files": files})

    def to_json(self) -> bytes:
        """Serialise as PEP 691 JSON."""
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
        files = _files(document["files"], Links(url))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InvalidURL) as error:
        raise IndexBroken(f"{url} is no PEP 691 page ({type(error).__name__}: {error})") from None
    if major != "1":
        raise IndexBroken(f"{url} speaks version {major} of the simple API", hint="update crane")
    return ProjectPage({**document, "files": files})


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


def _files(files: list[dict[str, Any]], links: Links) -> list[dict[str, Any]]:
    if len(files) > MOST_LINKS:
        raise ValueError(f"more than {MOST_LINKS} files")
    return [entry for file in files if is_plain_name((entry := _file(file, links))["filename"])]


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
