"""Writes a PEP 691 document as a PEP 503 page, with the attributes that HTML has a place for."""

from __future__ import annotations

from html import escape
from itertools import chain
from typing import TYPE_CHECKING, Any

from crane_core.index.links import best_hash
from crane_core.index.page_html import (
    ALTERNATE_META,
    REASON_META,
    STATUS_META,
    TRACKS_META,
    VERSION_META,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILES_AT_A_TIME = 500
METADATA_KEYS = ("core-metadata", "dist-info-metadata", "data-dist-info-metadata")


def write_html(document: dict[str, Any], version: str) -> bytes:
    """Return the page as HTML 5 in ASCII: other characters are written as references.

    So it reads the same whatever encoding a reader takes it for.
    """
    name = escape(str(document.get("name", "")))
    metas = "".join(
        f'    <meta name="{key}" content="{escape(str(value))}">\n'
        for key, value in _metas(document, version)
    )
    head = (
        f"<!DOCTYPE html>\n<html>\n  <head>\n{metas}"
        f"    <title>Links for {name}</title>\n  </head>\n  <body>\n"
        f"    <h1>Links for {name}</h1>\n"
    )
    end = "  </body>\n</html>\n"
    # Bytes at once, since of a large page each copy counts.
    return b"".join(map(_in_ascii, chain([head], _anchors(document["files"]), [end])))


def _in_ascii(text: str) -> bytes:
    return text.encode("ascii", "xmlcharrefreplace")


def _anchors(files: list[dict[str, Any]]) -> Iterator[str]:
    for start in range(0, len(files), _FILES_AT_A_TIME):
        some = files[start : start + _FILES_AT_A_TIME]
        yield "".join([f"    {_anchor(file)}<br>\n" for file in some])


def _metas(document: dict[str, Any], version: str) -> Iterator[tuple[str, object]]:
    """Yield what stands in the page's head: PEP 629, 792 and 708."""
    yield VERSION_META, version
    status = document.get("project-status")
    if isinstance(status, dict):
        names = {"status": STATUS_META, "reason": REASON_META}
        yield from ((names[key], status[key]) for key in names if key in status)
    yield from ((TRACKS_META, url) for url in _texts(document["meta"].get("tracks")))
    yield from ((ALTERNATE_META, url) for url in _texts(document.get("alternate-locations")))


def _texts(values: object) -> list[str]:
    return [v for v in values if isinstance(v, str)] if isinstance(values, list) else []


def _anchor(file: dict[str, Any]) -> str:
    url = escape(file["url"])
    if found := best_hash(file.get("hashes")):
        url = f"{url}#{escape(found[0])}={escape(found[1])}"
    return f'<a href="{url}"{"".join(_attributes(file))}>{escape(file["filename"])}</a>'


def _attributes(file: dict[str, Any]) -> Iterator[str]:
    if isinstance(requires_python := file.get("requires-python"), str) and requires_python:
        yield f' data-requires-python="{escape(requires_python)}"'
    if yanked := file.get("yanked"):
        yield f' data-yanked="{escape(yanked) if isinstance(yanked, str) else ""}"'
    if metadata := core_metadata(file):
        digest = best_hash(metadata)
        value = escape("=".join(digest)) if digest else "true"
        # PEP 714: both spellings, for clients from before it.
        yield f' data-core-metadata="{value}" data-dist-info-metadata="{value}"'
    if isinstance(signed := file.get("gpg-sig"), bool):
        yield f' data-gpg-sig="{"true" if signed else "false"}"'
    if isinstance(provenance := file.get("provenance"), str) and provenance:
        yield f' data-provenance="{escape(provenance)}"'


def core_metadata(file: dict[str, Any]) -> dict[str, str] | bool | None:
    """Return what an entry says of its metadata file (PEP 714 §Specification)."""
    for key in METADATA_KEYS:
        if key in file:
            value = file[key]
            break
    else:
        return None
    if isinstance(value, dict) and value and all(isinstance(v, str) for v in value.values()):
        return value
    return bool(value) if value is not None else None
