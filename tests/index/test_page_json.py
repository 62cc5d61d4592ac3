"""Project pages in JSON (PEP 691): nothing is lost, and nothing malformed comes through."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crane_core.errors import IndexBroken
from crane_core.index.links import is_plain_name
from crane_core.index.page import core_metadata, parse_json

URL = "https://index.example/simple/lib/"
FULL: dict[str, Any] = {
    "meta": {"api-version": "1.4", "_last-serial": 7, "tracks": ["https://x.example/lib/"]},
    "name": "lib",
    "versions": ["1.0"],
    "alternate-locations": ["https://y.example/lib/"],
    "project-status": {"status": "archived", "reason": "old"},
    "x-of-the-future": {"deep": [{"er": None}]},
    "files": [
        {
            "filename": "lib-1.0-py3-none-any.whl",
            "url": "https://cdn.example/lib-1.0-py3-none-any.whl",
            "hashes": {"sha256": "a" * 64, "blake2b": "b" * 64, "x-hash": "c"},
            "requires-python": ">=3.8",
            "size": 123,
            "upload-time": "2024-01-01T00:00:00.000001Z",
            "yanked": "broken",
            "core-metadata": {"sha256": "d" * 64},
            "dist-info-metadata": {"sha256": "d" * 64},
            "gpg-sig": True,
            "provenance": "https://index.example/integrity/lib",
            "x-of-the-future": [1, 2.5, None, True, "é"],
        }
    ],
}


def parsed(document: Any) -> dict[str, Any]:
    return parse_json(json.dumps(document).encode(), URL).document


def file_with(**values: Any) -> dict[str, Any]:
    """Return a page of one file."""
    file = {"filename": "lib-1.0.tar.gz", "url": "lib-1.0.tar.gz", "hashes": {}, **values}
    return {"meta": {"api-version": "1.0"}, "name": "lib", "files": [file]}


def test_every_key_survives_at_every_level() -> None:
    found = parse_json(json.dumps(FULL).encode(), URL)
    assert json.loads(found.to_json()) == FULL


def test_reading_a_page_and_changing_its_files_leaves_the_page_alone() -> None:
    found = parse_json(json.dumps(FULL).encode(), URL)
    before = copy.deepcopy(found.document)
    changed = found.with_files(lambda file: {**file, "url": "https://other.example/x"})
    assert found.document == before
    assert changed.files[0]["url"] == "https://other.example/x"
    assert {**changed.document, "files": before["files"]} == before


@pytest.mark.parametrize(
    ("url", "absolute"),
    [
        ("lib-1.0.tar.gz", f"{URL}lib-1.0.tar.gz"),
        ("../../files/lib-1.0.tar.gz", "https://index.example/files/lib-1.0.tar.gz"),
        ("/files/lib-1.0.tar.gz?a=b", "https://index.example/files/lib-1.0.tar.gz?a=b"),
        ("//cdn.example/lib-1.0.tar.gz", "https://cdn.example/lib-1.0.tar.gz"),
        ("http://cdn.example/lib-1.0.tar.gz", "http://cdn.example/lib-1.0.tar.gz"),
        ("lib-1.0.tar.gz#sha256=x", f"{URL}lib-1.0.tar.gz"),
    ],
)
def test_file_urls_become_absolute(url: str, absolute: str) -> None:
    assert parsed(file_with(url=url))["files"][0]["url"] == absolute


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "file:///etc/passwd", "data:,x", "ftp://x.example/a", "mailto:a@b",
        "http://[::1", "java\nscript:alert(1)", "http:///x.whl", "http://",
    ],
)  # fmt: skip
def test_a_file_with_a_url_that_no_tool_should_open_breaks_the_page(url: str) -> None:
    with pytest.raises(IndexBroken):
        parsed(file_with(url=url))


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.99", 1.0])
def test_version_1_is_read(version: Any) -> None:
    assert parsed({**FULL, "meta": {"api-version": version}})["meta"]["api-version"] == version


@pytest.mark.parametrize("version", ["2.0", "0.1", "10.0", "", "v1.0", None, [], {}, "1x"])
def test_another_version_is_refused(version: Any) -> None:
    with pytest.raises(IndexBroken):
        parsed({**FULL, "meta": {"api-version": version}})


MALFORMED = [
    b"", b"null", b"[]", b"1", b'"x"', b"{}", b"{", b"\xff\xfe", b"<html></html>", b"NaN",
    b'{"meta":{}}', b'{"meta":null,"files":[]}', b'{"meta":{"api-version":"1.0"}}',
    b'{"meta":{"api-version":"1.0"},"files":null}',
    b'{"meta":{"api-version":"1.0"},"files":{"a":1}}',
    b'{"meta":{"api-version":"1.0"},"files":[null]}',
    b'{"meta":{"api-version":"1.0"},"files":["x"]}',
    b'{"meta":{"api-version":"1.0"},"files":[{}]}', b'{"meta":[],"files":[]}', b"[" * 100_000,
    b'{"meta":{"api-version":"1.0"},"files":[{"filename":"x"}]}',
    b'{"meta":{"api-version":"1.0"},"files":[{"url":"x"}]}',
    b'{"meta":{"api-version":"1.0"},"files":[{"filename":1,"url":"x"}]}',
    b'{"meta":{"api-version":"1.0"},"files":[{"filename":"x","url":1}]}',
    b'{"meta":{"api-version":"1.0"},"files":[{"filename":"x","url":null}]}',
    b'{"meta":{"api-version":"1.0"},"files":[{"filename":"x","url":["a"]}]}',
    b'{"meta":{"api-version":"1.0"},"files":[{"filename":"x","url":"x","hashes":[]}]}',
    b'{"meta":{"api-version":"1.0"},"files":[{"filename":"x","url":"x","hashes":"md5"}]}',
    b'{"meta":{"api-version":"1.0"},"files":[{"filename":"x","url":"x","hashes":null}]}',
]  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_malformed_is_a_broken_page_and_nothing_else(body: bytes) -> None:
    with pytest.raises(IndexBroken, match="index\\.example"):
        parse_json(body, URL)


@pytest.mark.parametrize(
    "body",
    [
        (
            r'{"meta":{"api-version":"1.0"},"name":"lib","files":'
            r'[{"filename":"\ud800.whl","url":"x.whl","hashes":{}}]}'
        ),
        r'{"meta":{"api-version":"1.0"},"name":"\ud800","files":[]}',
        (
            r'{"meta":{"api-version":"1.0"},"name":"lib","files":'
            r'[{"filename":"x.whl","url":"x.whl","hashes":{},"yanked":"\udfff"}]}'
        ),
        (
            r'{"meta":{"api-version":"1.0"},"name":"lib","files":'
            r'[{"filename":"x.whl","url":"\ud800x.whl","hashes":{}}]}'
        ),
        (
            r'{"meta":{"api-version":"1.0"},"name":"lib","files":'
            r'[{"filename":"x.whl","url":"x.whl","hashes":{},"yanked":{"a":1},"requires-python":[]}]}'
        ),
        (
            r'{"meta":{"api-version":"1.0"},"name":"lib","files":'
            r'[{"filename":"x.whl","url":"x.whl","hashes":{"sha256":null},"core-metadata":[]}]}'
        ),
        r'{"meta":{"api-version":"1.0"},"name":null,"files":[]}',
        r'{"meta":{"api-version":"1.0"},"name":"lib","files":[],"x":NaN,"y":Infinity}',
    ],
    ids=range(8),
)
def test_a_page_that_was_read_can_be_written_in_both_forms(body: str) -> None:
    try:
        found = parse_json(body.encode(), URL)
    except IndexBroken:
        return
    found.to_html().decode()

    def never(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    json.loads(found.to_json(), parse_constant=never)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, None),
        ({"core-metadata": True}, True),
        ({"core-metadata": False}, False),
        ({"core-metadata": {"sha256": "x"}}, {"sha256": "x"}),
        ({"dist-info-metadata": {"sha256": "x"}}, {"sha256": "x"}),
        ({"data-dist-info-metadata": True}, True),
        ({"core-metadata": False, "dist-info-metadata": True}, False),
        ({"core-metadata": {"sha256": 1}}, True),
    ],
)
def test_the_metadata_of_a_file_is_read_under_all_its_names(
    entry: dict[str, Any], expected: Any
) -> None:
    assert core_metadata(entry) == expected


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["filename", "url", "hashes", "yanked", "requires-python", "core-metadata", "size", "gpg-sig",
     "dist-info-metadata", "provenance", "x"]
)  # fmt: skip
FILES = st.lists(st.dictionaries(KEYS, JSON_VALUES, max_size=8) | JSON_VALUES, max_size=3)
PAGES = st.fixed_dictionaries(
    {},
    optional={
        "meta": st.just({"api-version": "1.0"}) | JSON_VALUES,
        "name": JSON_VALUES,
        "files": FILES | JSON_VALUES,
    },
)
WELL_FORMED = st.builds(
    lambda extra, name: {
        **extra, "filename": name, "url": "https://x.example/lib.whl", "hashes": {},
    },
    st.dictionaries(KEYS, JSON_VALUES, max_size=6),
    st.text(max_size=12),
)  # fmt: skip


@given(PAGES | JSON_VALUES)
@example(
    {"meta": {"api-version": "1.0"}, "files": [{"filename": "a", "url": "http://[", "hashes": {}}]}
)
def test_any_json_is_a_page_or_a_broken_one(document: Any) -> None:
    try:
        found = parse_json(json.dumps(document).encode(), URL)
    except IndexBroken:
        return
    found.to_json()
    found.to_html()


@given(st.lists(WELL_FORMED, max_size=3))
def test_any_values_in_a_files_other_keys_can_be_written_as_html(
    files: list[dict[str, Any]],
) -> None:
    document = {"meta": {"api-version": "1.0"}, "name": "lib", "files": files}
    found = parse_json(json.dumps(document).encode(), URL)
    plain = [file for file in files if is_plain_name(file["filename"])]
    assert found.to_html().count(b"<a ") == len(plain)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_broken_page(body: bytes) -> None:
    with pytest.raises(IndexBroken):
        parse_json(body, URL)
