"""Documents with everything the specification knows, there and back again in both forms."""

from __future__ import annotations

import html
import json
from typing import Any

from conformance.reading import HtmlPage
from hypothesis import given
from hypothesis import strategies as st

from crane_core.index.links import best_hash
from crane_core.index.page import ProjectPage, parse_html, parse_json

URL = "https://index.example/simple/lib/"
ALGORITHMS = ("sha256", "sha512", "sha384", "sha224", "sha1", "md5")
HEX = st.text(st.sampled_from("0123456789abcdef"), min_size=1, max_size=64)
# HTML ends a line one way only, and has no place for controls.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    lambda text: text == text.strip()
)
URLS = st.sampled_from(["https://a.example/p?x=1&y='2'", "http://b.example:81/%C3%A9/"])
STEMS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+!~%é€ -]{0,20}", fullmatch=True)
# As JSON from elsewhere has them: integers of any size, and floats that are numbers.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT | st.integers(2**62, 2**200)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
UNKNOWN = st.dictionaries(st.sampled_from(["_own", "x-future", "ключ", ""]), VALUES, max_size=3)


@st.composite
def file_entries(draw: st.DrawFn, *, html_only: bool) -> dict[str, Any]:
    """Return a file entry, with nothing that HTML has no place for if it shall survive that."""
    from urllib.parse import quote

    name = draw(STEMS) + draw(st.sampled_from([".whl", ".tar.gz", ".zip", ".tar.zst", ".exe"]))
    metadata = st.just(True) | st.dictionaries(st.just("sha256"), HEX, min_size=1, max_size=1)
    known = {
        "requires-python": TEXT,
        "yanked": st.just(True) | TEXT,
        "core-metadata": metadata,
        "gpg-sig": st.booleans(),
        "provenance": URLS,
    }
    more = {
        "yanked": st.booleans() | TEXT,
        "core-metadata": metadata | st.just(False) | st.dictionaries(TEXT, HEX, min_size=1),
        "size": st.integers(0, 2**100),
        "upload-time": st.just("2024-01-01T00:00:00.123456Z"),
        "provenance": URLS | st.none(),
        "dist-info-metadata": metadata,
    }
    entry = draw(st.fixed_dictionaries({}, optional=known if html_only else {**known, **more}))
    sizes = {"max_size": 1} if html_only else {}
    hashes = draw(st.dictionaries(st.sampled_from(ALGORITHMS), HEX, **sizes))
    if not html_only:
        entry |= draw(UNKNOWN)
        if "dist-info-metadata" in entry:
            entry.setdefault("core-metadata", entry["dist-info-metadata"])
    url = f"https://cdn.example/a/{quote(name, safe='+!~')}"
    return {"filename": name, "url": url, "hashes": hashes, **entry}


def pages(*, html_only: bool) -> st.SearchStrategy[dict[str, Any]]:
    files = st.lists(file_entries(html_only=html_only), max_size=4)
    status = st.fixed_dictionaries({"status": TEXT}, optional={"reason": TEXT})
    locations = st.lists(URLS, min_size=1, max_size=2)
    optional: dict[str, Any] = {"project-status": status, "alternate-locations": locations}
    meta = {"api-version": st.just("1.0") if html_only else st.sampled_from(["1.0", "1.4", "1.9"])}
    if not html_only:
        optional["versions"] = st.lists(TEXT, max_size=3)
    page = st.fixed_dictionaries(
        {
            "meta": st.fixed_dictionaries(meta, optional={"tracks": locations}),
            "name": st.just("lib"),
            "files": files,
        },
        optional=optional,
    )
    return page if html_only else st.builds(lambda p, extra: {**extra, **p}, page, UNKNOWN)


@given(pages(html_only=True))
def test_what_html_can_say_survives_html(document: dict[str, Any]) -> None:
    written = ProjectPage(document).to_html()
    again = parse_html(written, URL, "lib")
    assert again.document == document
    assert again.to_html() == written


@given(pages(html_only=False))
def test_everything_survives_json(document: dict[str, Any]) -> None:
    page = parse_json(json.dumps(document).encode(), URL)
    assert page.document == document
    assert json.loads(page.to_json()) == document
    assert parse_json(page.to_json(), URL).to_json() == page.to_json()


@given(pages(html_only=False))
def test_what_comes_from_json_says_in_html_what_html_can_say(document: dict[str, Any]) -> None:
    """Read by the standard library, not by ourselves."""
    page = HtmlPage(parse_json(json.dumps(document).encode(), URL).to_html().decode("ascii"))
    assert page.texts == [file["filename"] for file in document["files"]]
    for anchor, file in zip(page.anchors, document["files"], strict=True):
        found = best_hash(file["hashes"])
        assert anchor["href"] == file["url"] + (f"#{'='.join(found)}" if found else "")
        assert ("data-yanked" in anchor) == bool(file.get("yanked"))
        assert anchor.get("data-requires-python") == file.get("requires-python")
        assert anchor.get("data-provenance") == file.get("provenance")
        assert ("data-core-metadata" in anchor) == bool(file.get("core-metadata"))
    assert page.meta("pypi:repository-version") == [document["meta"]["api-version"]]
    assert page.meta("pypi:tracks") == document["meta"].get("tracks", [])


@given(pages(html_only=False))
def test_json_to_html_to_json_to_html_is_the_same_html(document: dict[str, Any]) -> None:
    first = parse_json(json.dumps(document).encode(), URL).to_html()
    as_json = parse_html(first, URL, "lib").to_json()
    second = parse_json(as_json, URL)
    version = html.escape(document["meta"]["api-version"])
    assert second.to_html().replace(b'content="1.0"', f'content="{version}"'.encode(), 1) == first
