"""What an index's answer to a file request means, and how a file's URL is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from crane_core.errors import FileChanged, IndexBroken, IndexUnreachable, NotFound
from crane_core.gateway.responses import header
from crane_core.index.answer import refused
from crane_core.index.page import DISTRIBUTION_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.config.model import Index
    from crane_core.http import Response

_CONDITIONS = ("if-none-match", "if-modified-since")
# A request with one of these asks for a part, or for nothing if the tool has the file.
PARTIAL = ("range", "if-range", *_CONDITIONS)
# What is fetched for everybody is fetched the same way, whoever asks first.
WHOLE = {"accept": "*/*", "accept-encoding": "identity"}
# What is said of a file wherever its bytes come from.
LASTING = ("content-type", "etag", "last-modified", "cache-control", "content-disposition")
_FORWARDED = frozenset(
    name.encode()
    for name in (*LASTING, "content-length", "content-range", "accept-ranges", "retry-after")
)
# All that a 304 should have of them (RFC 9110 §15.4.5).
_VALIDATING = frozenset({b"etag", b"last-modified", b"cache-control"})


class StreamBroken(Exception):
    """A body that cannot be completed; what was sent of it must not be taken for a file."""


def require_file(response: Response, url: str, index: Index, asked: Mapping[str, str]) -> None:
    """Raise our error unless the answer is the file, or what these request headers ask for of it.

    A part that nobody asked for would escape the comparison of hashes; so would an encoding.
    """
    status, name = response.status_code, filename_of(url)
    if status in {404, 410}:
        raise NotFound(
            f"{index.name} has no {name}, or you may not read it", hint="ask its administrators"
        )
    if status in {401, 403}:
        raise refused(url, f"HTTP {status}")
    if status == 206 and "range" not in asked:
        raise IndexBroken(f"{url} answered with a part of the file that nobody asked for")
    if status not in _fitting(asked):
        raise IndexUnreachable(f"{url} answered HTTP {status}", hint="try again in a minute")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise IndexBroken(f"{url} answered with an encoding that nobody asked for")
    if status == 200 and _is_html(response) and is_distribution(url.removesuffix(".metadata")):
        raise refused(url, "it answered with a web page where a file is due")


def changed(url: str, index: Index) -> FileChanged:
    """Return the error for other bytes under a known URL."""
    name = filename_of(url)
    return FileChanged(
        f"{name} at {index.name} is not the file it was before",
        hint=f"ask who replaced it; to accept it: crane index release {index.name} "
        f"{project_of(name)}",
    )


def forwarded(scope: dict[str, Any]) -> dict[str, str]:
    """Return the request headers that concern the file; never the tool's own login or cookies."""
    values = {name: header(scope, name.encode()) for name in ("accept", *PARTIAL)}
    sent = {name: value.decode("ascii", "ignore") for name, value in values.items() if value}
    return {**sent, "accept-encoding": "identity"}


def response_start(response: Response) -> dict[str, Any]:
    """Return the message that begins the same answer to the tool."""
    passing = _VALIDATING if response.status_code == 304 else _FORWARDED
    named = ((name.lower(), value) for name, value in response.headers.raw)
    headers = [(name, value) for name, value in named if name in passing]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


def lasting_headers(response: Response) -> dict[str, str]:
    """Return what the answer says of the file itself, to be said again with cached bytes."""
    return {name: value for name in LASTING if (value := response.headers.get(name))}


def is_distribution(url: str) -> bool:
    """Whether the URL names a wheel or sdist."""
    return filename_of(url).endswith(DISTRIBUTION_SUFFIXES)


def is_lasting(url: str) -> bool:
    """Whether the bytes at a URL stay what they are: a distribution's, or its metadata's.

    Others may change beside a distribution that does not, as PEP 740's `.provenance`.
    """
    return is_distribution(url.removesuffix(".metadata"))


def filename_of(url: str) -> str:
    """Return the last segment of a URL's path, decoded."""
    return unquote(urlsplit(url).path.rsplit("/", 1)[-1])


def project_of(filename: str) -> str:
    """Return the normalised project that a file name belongs to (PEP 427, PEP 625)."""
    if filename.endswith((".whl", ".egg", ".whl.metadata")):
        return canonicalize_name(filename.split("-", 1)[0])
    return canonicalize_name(filename.rsplit("-", 1)[0])


def _fitting(asked: Mapping[str, str]) -> set[int]:
    """Return the statuses that may answer a request with these headers."""
    parts = {206, 416} if "range" in asked else set[int]()
    unchanged = {304} if not asked.keys().isdisjoint(_CONDITIONS) else set[int]()
    return {200} | parts | unchanged


def _is_html(response: Response) -> bool:
    return response.headers.get("content-type", "").startswith("text/html")
