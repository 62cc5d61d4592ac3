"""What the specification says of a file, row by row, through a real gateway in both forms."""

from __future__ import annotations

from typing import Any

import pytest
from conformance.front import HTML, JSON, Front
from conformance.reading import HtmlPage
from conformance.rows import ABSENT, Row
from conformance.rows_html import FROM_HTML
from conformance.rows_json import FROM_JSON


def filled(value: Any, front: Front, name: str) -> Any:
    """Put the real addresses into a row's text."""
    if isinstance(value, str):
        gate = f"{front.gate.url}/python/files"
        return (
            value.replace("{up}", front.upstream_url)
            .replace("{gate}", gate)
            .replace("{name}", name)
        )
    return value


def published(front: Front, row: Row) -> str:
    """Put a page with the row's file on the index."""
    given = row.given
    if isinstance(given, dict):
        document = {"meta": {"api-version": "1.4"}, "name": "lib", "versions": ["1.0"]}
        return front.add({**document, "files": [given]})
    anchor = filled(given, front, "")
    return front.add(f"<!DOCTYPE html><title>Links for lib</title><a {anchor}>file</a>")


@pytest.mark.parametrize("row", [*FROM_HTML, *FROM_JSON], ids=str)
def test_a_tool_that_wants_html_sees_it(front: Front, row: Row) -> None:
    name = published(front, row)
    answer = front.get(name, HTML)
    assert answer.headers["content-type"] == HTML
    page = HtmlPage(answer.content.decode("ascii"))
    (anchor,), (text,) = page.anchors, page.texts
    seen = {**anchor, "text": text}
    for key, value in row.html.items():
        assert seen.get(key, ABSENT) == filled(value, front, name), key


@pytest.mark.parametrize("row", [*FROM_HTML, *FROM_JSON], ids=str)
def test_a_tool_that_wants_json_sees_it(front: Front, row: Row) -> None:
    name = published(front, row)
    answer = front.get(name, JSON)
    assert answer.headers["content-type"] == JSON
    (seen,) = answer.json()["files"]
    for key, value in row.json.items():
        assert seen.get(key, ABSENT) == filled(value, front, name), key


@pytest.mark.parametrize("row", FROM_JSON, ids=str)
def test_no_key_of_a_file_is_lost_and_none_is_made_up_in_json(front: Front, row: Row) -> None:
    """PEP 714's new name beside the old one is all that is added."""
    (seen,) = front.get(published(front, row), JSON).json()["files"]
    assert isinstance(row.given, dict)
    added = {"core-metadata"} if "dist-info-metadata" in row.given else set()
    assert set(seen) == set(row.given) | added
