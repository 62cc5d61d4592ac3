"""What goes out as HTML is read back the same, and no text of an index becomes markup."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crane_core.index.page import ProjectPage, parse_html, parse_json

URL = "https://index.example/simple/lib/"
# What XML and HTML cannot hold in an attribute as it is: controls, and a lone carriage return.
TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\"'<>&=`\n"), max_size=30
)
HEX = st.text(st.sampled_from("0123456789abcdef"), min_size=64, max_size=64)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}-[0-9]\.[0-9](\+[a-z]{1,3})?", fullmatch=True).flatmap(
    lambda stem: st.sampled_from([f"{stem}-py3-none-any.whl", f"{stem}.tar.gz", f"{stem}.zip"])
)
FILES = st.builds(
    lambda name, hashes, extra: {
        "filename": name,
        "url": f"https://cdn.example/a/{name}",
        "hashes": hashes,
        **{key: value for key, value in extra.items() if value not in (None, "")},
    },
    NAMES,
    st.dictionaries(st.just("sha256"), HEX),
    st.fixed_dictionaries(
        {},
        optional={
            "requires-python": TEXT,
            "yanked": st.just(True) | TEXT,
            "core-metadata": st.just(True) | st.fixed_dictionaries({"sha256": HEX}),
            "gpg-sig": st.booleans(),
            "provenance": st.just("https://index.example/p?a=b&c=d"),
        },
    ),
)

HOSTILE = [
    '"><script>alert(1)</script>', "'><img src=x onerror=alert(1)>", '" onmouseover="alert(1)',
    "</a><a href='https://evil.example/evil-9.0.tar.gz'>", "<!--", "]]>", "&quot;&#34;&lt;",
    "`onclick=alert(1)", '"\n<base href="https://evil.example/">',
]  # fmt: skip


class Seen(HTMLParser):
    """Notes which elements and attributes a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def a_page(**values: Any) -> ProjectPage:
    file = {
        "filename": "lib-1.0.tar.gz",
        "url": "https://cdn.example/lib-1.0.tar.gz",
        "hashes": {},
        **values,
    }
    return ProjectPage({"meta": {"api-version": "1.0"}, "name": "lib", "files": [file]})


@given(st.lists(FILES, max_size=4))
def test_html_and_back_changes_nothing(files: list[dict[str, Any]]) -> None:
    document = {"meta": {"api-version": "1.0"}, "name": "lib", "files": files}
    written = ProjectPage(document).to_html()
    assert parse_html(written, URL, "lib").document == document


@given(st.lists(FILES, max_size=4))
def test_json_and_back_changes_nothing(files: list[dict[str, Any]]) -> None:
    document = {"meta": {"api-version": "1.0"}, "name": "lib", "files": files}
    assert parse_json(ProjectPage(document).to_json(), URL).document == document


@given(st.lists(FILES, max_size=4))
def test_html_to_json_to_html_is_the_same_html(files: list[dict[str, Any]]) -> None:
    document = {"meta": {"api-version": "1.0"}, "name": "lib", "files": files}
    first = ProjectPage(document).to_html()
    through_json = parse_json(parse_html(first, URL, "lib").to_json(), URL)
    assert through_json.to_html() == first


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "key", ["filename", "url", "yanked", "requires-python", "provenance", "hashes", "core-metadata"]
)
def test_no_text_of_an_index_becomes_markup(key: str, text: str) -> None:
    value: Any = {text: text} if key in {"hashes", "core-metadata"} else text
    if key == "url":
        value = f"https://cdn.example/{text}"
    seen = Seen()
    seen.feed(a_page(**{key: value}).to_html().decode())

    tags = [tag for tag, _ in seen.elements]
    assert tags == ["html", "head", "meta", "title", "body", "h1", "a", "br"]
    allowed = {
        "href", "data-requires-python", "data-yanked", "data-core-metadata",
        "data-dist-info-metadata", "data-gpg-sig", "data-provenance",
    }  # fmt: skip
    assert set(seen.elements[6][1]) <= allowed


@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_of_a_project_or_version_becomes_markup(text: str) -> None:
    document = {"meta": {"api-version": f"1.{text}"}, "name": text, "files": []}
    seen = Seen()
    seen.feed(ProjectPage(document).to_html().decode())
    assert [tag for tag, _ in seen.elements] == ["html", "head", "meta", "title", "body", "h1"]


def test_a_file_name_with_quotes_survives_the_way_through_html() -> None:
    name = "lib-1.0\"'<&>.tar.gz"
    page = parse_html(
        b'<a href="lib-1.0%22\'%3C&amp;%3E.tar.gz" data-yanked=\'say "no"\'>x</a>', URL, "lib"
    )
    again = parse_html(page.to_html(), URL, "lib")
    assert again.document == page.document
    assert again.files[0]["filename"] == name
    assert again.files[0]["yanked"] == 'say "no"'


def test_metadata_is_announced_under_its_old_and_its_new_name() -> None:
    """PEP 714: pip before 23.2 reads only the old one, later ones the new one first."""
    html = a_page(**{"core-metadata": {"sha256": "f" * 64}}).to_html().decode()
    assert f'data-core-metadata="sha256={"f" * 64}"' in html
    assert f'data-dist-info-metadata="sha256={"f" * 64}"' in html


def test_the_strongest_known_hash_is_the_one_that_html_has_room_for() -> None:
    html = a_page(hashes={"md5": "1", "sha256": "2", "blake2b": "3"}).to_html().decode()
    assert "#sha256=2" in html


@pytest.mark.parametrize("yanked", [False, None, ""])
def test_a_file_that_is_not_yanked_has_no_such_attribute(yanked: Any) -> None:
    assert b"data-yanked" not in a_page(yanked=yanked).to_html()


def test_the_status_of_a_project_survives_html() -> None:
    """PEP 792 gives HTML pages a `meta` element for it."""
    body = b'<meta name="pypi:project-status" content="quarantined"><a href="lib-1.0.zip">x</a>'
    assert b"quarantined" in parse_html(body, URL, "lib").to_html()


def test_json_output_is_ascii_and_compact() -> None:
    written = a_page(yanked="é").to_json()
    assert written.isascii()
    assert b": " not in written
    assert json.loads(written)["files"][0]["yanked"] == "é"
