"""What the specification says of a project's page, through a real gateway in both forms."""

from __future__ import annotations

from typing import Any

import pytest
from conformance.front import HTML, JSON, Front
from conformance.reading import HtmlPage
from conformance.rows import SDIST, SHA256, WHEEL, entry

TRACKS = ["https://pypi.org/simple/lib/", "https://test.pypi.org/simple/lib/"]
FULL: dict[str, Any] = {
    "meta": {"api-version": "1.4", "_last-serial": 7, "tracks": TRACKS, "x-of-meta": [None]},
    "name": "lib",
    "versions": ["0.9", "1.0", "not-a-version"],
    "project-status": {"status": "archived", "reason": 'gone "for good" é', "x": 1},
    "alternate-locations": TRACKS[:1],
    "x-of-page": {"deep": {"er": 2**65}},
    "files": [entry(hashes={"sha256": SHA256})],
}


def html_of(front: Front, name: str) -> HtmlPage:
    answer = front.get(name, HTML)
    assert answer.status_code == 200, answer.reason_phrase
    return HtmlPage(answer.content.decode("ascii"))


def json_of(front: Front, name: str) -> dict[str, Any]:
    answer = front.get(name, JSON)
    assert answer.status_code == 200, answer.reason_phrase
    document: dict[str, Any] = answer.json()
    return document


def html_with(*metas: str) -> str:
    return f"<html><head>{''.join(metas)}</head><a href='{WHEEL}'>{WHEEL}</a></html>"


def version_meta(version: str) -> str:
    return f'<meta name="pypi:repository-version" content="{version}">'


class TestVersions:
    """PEP 629."""

    @pytest.mark.parametrize("version", ["1.0", "1.1", "1.4", "1.99"])
    def test_a_json_pages_version_is_stated_in_both_forms(self, front: Front, version: str) -> None:
        name = front.add({**FULL, "meta": {"api-version": version}})
        assert json_of(front, name)["meta"]["api-version"] == version
        assert html_of(front, name).meta("pypi:repository-version") == [version]

    @pytest.mark.parametrize("version", ["1.0", "1.3", "1.99"])
    def test_an_html_pages_version_stays_in_html_and_is_1_0_in_json(
        self, front: Front, version: str
    ) -> None:
        """From 1.1 on JSON promises `size` and `versions`, which HTML has no place for."""
        name = front.add(html_with(version_meta(version)))
        assert html_of(front, name).meta("pypi:repository-version") == [version]
        document = json_of(front, name)
        assert document["meta"]["api-version"] == "1.0"
        assert "versions" not in document

    def test_without_a_version_it_is_1_0(self, front: Front) -> None:
        """If that data does not exist clients MUST assume that it is version 1.0."""
        name = front.add(html_with())
        assert html_of(front, name).meta("pypi:repository-version") == ["1.0"]
        assert json_of(front, name)["meta"]["api-version"] == "1.0"

    @pytest.mark.parametrize(
        "page",
        [html_with(version_meta("2.0")), {**FULL, "meta": {"api-version": "2.0"}}],
        ids=["html", "json"],
    )
    @pytest.mark.parametrize("accept", [HTML, JSON])
    def test_a_greater_major_version_is_a_hard_failure_with_a_message(
        self, front: Front, page: Any, accept: str
    ) -> None:
        answer = front.get(front.add(page), accept)
        assert answer.status_code == 502
        assert "speaks version 2" in answer.reason_phrase
        assert "update crane" in answer.text


class TestJsonKeys:
    """PEP 691, 700, 708, 792: nothing that an index says is lost on the way."""

    def test_every_key_comes_through(self, front: Front) -> None:
        document = json_of(front, front.add(FULL))
        assert {**document, "files": []} == {**FULL, "files": []}

    def test_versions_without_files_and_versions_that_are_none_are_kept(self, front: Front) -> None:
        assert json_of(front, front.add(FULL))["versions"] == FULL["versions"]

    def test_there_are_as_many_files_in_the_same_order(self, front: Front) -> None:
        files = [entry(filename=f"lib-{n}.0.tar.gz", url=f"lib-{n}.0.tar.gz") for n in range(70)]
        name = front.add({**FULL, "files": files})
        expected = [file["filename"] for file in files]
        assert [file["filename"] for file in json_of(front, name)["files"]] == expected
        assert html_of(front, name).texts == expected


class TestHtmlHead:
    """PEP 792 and 708 have `meta` elements for what they say."""

    def test_a_projects_status_comes_from_json_to_html(self, front: Front) -> None:
        page = html_of(front, front.add(FULL))
        assert page.meta("pypi:project-status") == ["archived"]
        assert page.meta("pypi:project-status-reason") == ['gone "for good" é']

    def test_a_projects_status_comes_from_html_to_json(self, front: Front) -> None:
        name = front.add(
            html_with(
                '<meta name="pypi:project-status" content="quarantined">',
                '<meta name="pypi:project-status-reason" content="bad &amp; new">',
            )
        )
        expected = {"status": "quarantined", "reason": "bad & new"}
        assert json_of(front, name)["project-status"] == expected
        assert html_of(front, name).meta("pypi:project-status-reason") == ["bad & new"]

    def test_a_page_without_a_status_has_none(self, front: Front) -> None:
        name = front.add(html_with())
        assert "project-status" not in json_of(front, name)
        assert html_of(front, name).meta("pypi:project-status") == []

    def test_tracks_and_alternate_locations_go_both_ways(self, front: Front) -> None:
        page = html_of(front, front.add(FULL))
        assert page.meta("pypi:tracks") == TRACKS
        assert page.meta("pypi:alternate-locations") == TRACKS[:1]
        metas = [f'<meta name="pypi:tracks" content="{url}">' for url in TRACKS]
        metas.append(f'<meta name="pypi:alternate-locations" content="{TRACKS[0]}">')
        document = json_of(front, front.add(html_with(*metas)))
        assert document["meta"]["tracks"] == TRACKS
        assert document["alternate-locations"] == TRACKS[:1]


class TestHtml5:
    """All HTML responses MUST be a valid HTML5 document."""

    def test_it_is_a_document_with_one_anchor_for_each_file(self, front: Front) -> None:
        page = html_of(front, front.add(FULL))
        assert page.doctype.lower() == "doctype html"
        assert page.elements[:2] == ["html", "head"]
        assert page.elements.count("title") == 1
        assert page.elements.count("body") == 1
        assert page.elements.count("a") == len(FULL["files"])

    def test_it_reads_the_same_in_any_encoding(self, front: Front) -> None:
        answer = front.get(front.add({**FULL, "name": "líb"}), HTML)
        assert answer.content.isascii()


class TestEncodings:
    """Of the page as the index sends it."""

    @pytest.mark.parametrize(
        ("charset", "codec"),
        [("", "utf-8"), ("utf-8", "utf-8"), ("ISO-8859-1", "latin-1"), ("windows-1252", "cp1252"),
         ('"utf-16"', "utf-16"), ("no-such-thing", "utf-8")],
    )  # fmt: skip
    def test_html_is_read_in_the_charset_of_its_content_type(
        self, front: Front, charset: str, codec: str
    ) -> None:
        text = f'<a href="{SDIST}" data-yanked="défunt">x</a>'
        kind = f"text/html; charset={charset}" if charset else "text/html"
        (file,) = json_of(front, front.add(text.encode(codec), kind))["files"]
        assert file["yanked"] == "défunt"

    @pytest.mark.parametrize(
        "kind",
        ["text/html", "text/html;charset=UTF-8", "TEXT/HTML", HTML, f"{HTML}; charset=utf-8",
         "application/xhtml+xml"],
    )  # fmt: skip
    def test_html_comes_under_several_names(self, front: Front, kind: str) -> None:
        assert len(json_of(front, front.add(html_with(), kind))["files"]) == 1

    @pytest.mark.parametrize("kind", [JSON, f"{JSON}; charset=utf-8", "application/json"])
    def test_json_comes_under_several_names(self, front: Front, kind: str) -> None:
        import json

        name = front.add(json.dumps(FULL).encode(), kind)
        assert len(html_of(front, name).anchors) == 1

    @pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "image/png"])
    def test_nothing_else_is_a_page(self, front: Front, kind: str) -> None:
        answer = front.get(front.add(html_with(), kind))
        assert answer.status_code == 502
        assert "no index page" in answer.reason_phrase


class TestCraneListings:
    """A Crane server has no project pages, only folders."""

    def test_its_html_table_is_a_page(self, front: Front) -> None:
        rows = "".join(f'<tr><td><a href="{n}">{n}</a></td></tr>' for n in (WHEEL, SDIST))
        text = f"<h1>Directory <code>/python/lib/</code></h1><table>{rows}</table>"
        name = front.add(text)
        assert [file["filename"] for file in json_of(front, name)["files"]] == [WHEEL, SDIST]
        assert html_of(front, name).texts == [WHEEL, SDIST]

    def test_its_json_is_a_page(self, front: Front) -> None:
        listing = {
            "code": 200, "status": "success",
            "data": {"directories": [], "files": [{"name": WHEEL}, {"name": "notes.txt"}]},
        }  # fmt: skip
        import json

        name = front.add(json.dumps(listing).encode(), "application/json")
        (file,) = json_of(front, name)["files"]
        assert file["url"] == f"{front.gate.url}/python/files/simple/{name}/{WHEEL}"
        assert html_of(front, name).texts == [WHEEL]
