"""A project page, as a PEP 691 document whose unknown keys survive.

Read in this order: PEP 503 (HTML), 629 (versions), 592 (yank), 658 and 714 (metadata), 691
(JSON), 700 (sizes), 740 (provenance), 792 (status).
"""

from __future__ import annotations

import hashlib
import html
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urldefrag, urlsplit

from crane_core.errors import IndexBroken, InvalidURL
from crane_core.urls import join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "application/vnd.pypi.simple.v1+html"
ACCEPT = f"{JSON_TYPE}, {HTML_TYPE};q=0.2, text/html;q=0.1"
METADATA_KEYS = ("core-metadata", "dist-info-metadata", "data-dist-info-metadata")
HTML_TYPES = frozenset({"text/html", HTML_TYPE, "application/xhtml+xml"})
DISTRIBUTION_SUFFIXES = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".egg")


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """A project detail document (PEP 691); every file URL in it is absolute."""

    document: dict[str, Any]

    @property
    def files(self) -> list[dict[str, Any]]:
        """The file entries."""
        files: list[dict[str, Any]] = self.document["files"]
        return files

    def with_files(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> ProjectPage:
        """Return a page in which each file entry is replaced by `change(entry)`."""
        return ProjectPage({**self.document, "files": [change(file) for file in self.files]})

    def _status_meta(self) -> str:
        """Return the elements that PEP 792 has for a project's status."""
        status = self.document.get("project-status")
        if not isinstance(status, dict):
            return ""
        names = {"status": "project-status", "reason": "project-status-reason"}
        return "".join(_status_element(names[k], status[k]) for k in names if k in status)

    def to_json(self) -> bytes:
        """Serialise as PEP 691 JSON."""
        return json.dumps(self.document, separators=(",", ":")).encode()

    def to_html(self) -> bytes:
        """Serialise as PEP 503 HTML, with the attributes that HTML has a place for."""
        name = html.escape(str(self.document.get("name", "")))
        version = html.escape(str(self.document["meta"].get("api-version", "1.0")))
        anchors = "".join(f"    {_anchor(file)}<br>\n" for file in self.files)
        return (
            "<!DOCTYPE html>\n<html>\n  <head>\n"
            f'    <meta name="pypi:repository-version" content="{version}">\n'
            f"{self._status_meta()}"
            f"    <title>Links for {name}</title>\n  </head>\n  <body>\n"
            f"    <h1>Links for {name}</h1>\n{anchors}  </body>\n</html>\n"
        ).encode("utf-8", "xmlcharrefreplace")


def _status_element(name: str, value: object) -> str:
    return f'    <meta name="pypi:{name}" content="{html.escape(str(value))}">\n'


def _anchor(file: dict[str, Any]) -> str:
    url = file["url"]
    if hashes := file.get("hashes"):
        algorithm = "sha256" if "sha256" in hashes else next(iter(hashes))
        url = f"{url}#{algorithm}={hashes[algorithm]}"
    attributes = {"href": url}
    if requires_python := file.get("requires-python"):
        attributes["data-requires-python"] = requires_python
    if yanked := file.get("yanked"):
        attributes["data-yanked"] = yanked if isinstance(yanked, str) else ""
    if metadata := core_metadata(file):
        value = "true" if metadata is True else "=".join(next(iter(metadata.items())))
        # PEP 714: both spellings, for clients from before it.
        attributes["data-core-metadata"] = attributes["data-dist-info-metadata"] = value
    if isinstance(file.get("gpg-sig"), bool):
        attributes["data-gpg-sig"] = "true" if file["gpg-sig"] else "false"
    if isinstance(file.get("provenance"), str):
        attributes["data-provenance"] = file["provenance"]
    text = " ".join(f'{key}="{html.escape(str(value))}"' for key, value in attributes.items())
    return f"<a {text}>{html.escape(file['filename'])}</a>"


def core_metadata(file: dict[str, Any]) -> dict[str, str] | bool | None:
    """Return what an entry says of its metadata file (PEP 714 §Specification)."""
    value = next((file[key] for key in METADATA_KEYS if key in file), None)
    if isinstance(value, dict) and value and all(isinstance(v, str) for v in value.values()):
        return value
    return bool(value) if value is not None else None


def parse_json(body: bytes, url: str) -> ProjectPage:
    """Return the page in a PEP 691 body that was fetched from `url`. Raises `IndexBroken`."""
    try:
        document = json.loads(body, parse_constant=_no_constant)
        major = str(document["meta"]["api-version"]).split(".")[0]
        files = [_json_file(file, url) for file in document["files"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InvalidURL) as error:
        raise IndexBroken(f"{url} is no PEP 691 page ({type(error).__name__}: {error})") from None
    if major != "1":
        raise IndexBroken(f"{url} speaks version {major} of the simple API", hint="update crane")
    return ProjectPage({**document, "files": files})


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _json_file(file: dict[str, Any], url: str) -> dict[str, Any]:
    filename, target, hashes = file["filename"], file["url"], file.get("hashes", {})
    if not isinstance(filename, str) or not isinstance(target, str) or not isinstance(hashes, dict):
        raise TypeError("a file entry is malformed")
    return {**file, "url": _file_url(url, target), "hashes": hashes}


def _file_url(base: str, target: str) -> str:
    # javascript:, file:, data: have no place in an index, and a tool might open them.
    return urldefrag(join(base, target)).url


def parse_html(body: bytes, url: str, project: str) -> ProjectPage:
    """Return the page in a PEP 503 body, or in a plain folder listing, fetched from `url`.

    Links that are no distributions (folders, the parent, checksums) are left out; a file
    `NAME.metadata` beside a distribution counts as its metadata (PEP 658).
    """
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(body)
    base = tree.css_first("base[href]")
    try:
        base_url = join(url, (base.attributes.get("href") or "") if base else "")
    except InvalidURL as error:
        raise IndexBroken(f"{url}: {error.message}") from None
    links = list(_links(tree, base_url))
    metadata_files = {name for name, _, _ in links if name.endswith(".metadata")}
    files = [
        _html_file(name, target, attributes, has_metadata=f"{name}.metadata" in metadata_files)
        for name, target, attributes in links
        if name.endswith(DISTRIBUTION_SUFFIXES)
    ]
    if not files and not looks_like_index(tree, url):
        # Nothing would be worse than to take a maintenance page for *no versions*.
        raise IndexBroken(f"{url} is no index page", hint="check the index URL")
    version = _meta(tree, "pypi:repository-version") or "1.0"
    if not version.startswith("1."):
        raise IndexBroken(f"{url} speaks version {version} of the simple API", hint="update crane")
    # Whatever version the page has: as JSON, 1.1 would promise sizes that HTML has no place for.
    document = {"meta": {"api-version": "1.0"}, "name": project, "files": files}
    if status := _meta(tree, "pypi:project-status"):
        reason = _meta(tree, "pypi:project-status-reason")
        document["project-status"] = {"status": status, **({"reason": reason} if reason else {})}
    return ProjectPage(document)


def _links(tree: Any, base_url: str) -> Iterator[tuple[str, str, dict[str, str | None]]]:
    for anchor in tree.css("a[href]"):
        attributes: dict[str, str | None] = anchor.attributes
        try:
            target = join(base_url, (attributes.get("href") or "").strip())
        except InvalidURL:
            continue
        yield unquote(urlsplit(target).path.rsplit("/", 1)[-1]), target, attributes


def looks_like_index(tree: Any, url: str) -> bool:
    """Whether an HTML page is an index page, be it empty: by PEP 629's mark, its title, or links.

    An index page links to what is below itself. A maintenance page, an application's shell or a
    login page does not.
    """
    if _meta(tree, "pypi:repository-version"):
        return True
    heading = " ".join((n.text() or "").strip() for n in tree.css("title, h1")).lower()
    if any(mark in heading for mark in ("links for", "simple index", "index of", "directory ")):
        return True
    return any(_is_below(target, url) for _, target, _ in _links(tree, url))


def _is_below(target: str, url: str) -> bool:
    root, path = urlsplit(url).path, urlsplit(target).path
    return path.startswith(root if root.endswith("/") else root + "/") and path != root


def _html_file(
    name: str, target: str, attributes: dict[str, str | None], *, has_metadata: bool
) -> dict[str, Any]:
    url, fragment = urldefrag(target)
    algorithm, _, digest = fragment.partition("=")
    file: dict[str, Any] = {
        "filename": name,
        "url": url,
        "hashes": {algorithm: digest.split("&")[0]} if digest and _is_hash(algorithm) else {},
    }
    if requires_python := attributes.get("data-requires-python"):
        file["requires-python"] = requires_python
    if "data-yanked" in attributes:
        file["yanked"] = attributes["data-yanked"] or True
    if (metadata := _html_metadata(attributes)) or has_metadata:
        file["core-metadata"] = metadata or True
    if attributes.get("data-gpg-sig") in {"true", "false"}:
        file["gpg-sig"] = attributes["data-gpg-sig"] == "true"
    if provenance := attributes.get("data-provenance"):
        file["provenance"] = provenance
    return file


def _is_hash(algorithm: str) -> bool:
    # PEP 503 names those of hashlib; `egg` and `subdirectory` are pip's older fragments.
    return algorithm in hashlib.algorithms_guaranteed


def _html_metadata(attributes: dict[str, str | None]) -> dict[str, str] | bool:
    for key in ("data-core-metadata", "data-dist-info-metadata"):
        if key in attributes:
            algorithm, _, digest = (attributes[key] or "").partition("=")
            return {algorithm: digest} if digest else attributes[key] != "false"
    return False


def _meta(tree: Any, name: str) -> str | None:
    node = tree.css_first(f'meta[name="{name}"]')
    content = node.attributes.get("content") if node else None
    return str(content).strip() if content else None
