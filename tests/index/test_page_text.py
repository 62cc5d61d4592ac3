"""A JSON page that goes on as the text it came as says what it would say if written anew."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crane_core.config.model import Index
from crane_core.gateway.localise import localised, localised_json
from crane_core.index.page import ProjectPage, parse_json
from crane_core.index.source import SourcedPage

HOST = "https://index.example"
URL = f"{HOST}/repo/simple/lib/"
GATEWAY = "http://127.0.0.1:1234/s"
INDEX = Index("python", f"{HOST}/repo/simple", issuer="https://issuer.example")
DIGEST = {"sha256": "ab" * 32}


class NothingLearned:
    def sha256_of(self, urls: list[str]) -> dict[str, str]:
        return {}


def written(files: Any, *, compact: bool = False, **more: Any) -> bytes:
    document = {"meta": {"api-version": "1.1"}, "name": "lib", "files": files, **more}
    return json.dumps(document, separators=(",", ":") if compact else None).encode()


def entry(number: int, start: str = "/repo/files/", **more: Any) -> dict[str, Any]:
    name = f"lib-{number}.0-py3-none-any.whl"
    return {"filename": name, "url": f"{start}{name}", "hashes": DIGEST, **more}


def entries(start: str, count: int = 3) -> list[dict[str, Any]]:
    return [entry(number, start) for number in range(count)]


def found(page: ProjectPage, index: Index | None = INDEX) -> SourcedPage:
    return SourcedPage(page, index, "python", HOST if index else "https://pypi.example")


STARTS = st.sampled_from(
    ["/repo/files/", "../../files/", "", "https://index.example/repo/files/",
     "https://cdn.example/", "https://index.example:443/repo/files/", "/elsewhere/",
     "http://127.0.0.1:9/", "//cdn.example/", "/repo/files/%2e%2e/", "../../../../"]
)  # fmt: skip
MORE = st.fixed_dictionaries(
    {},
    optional={
        "core-metadata": st.booleans() | st.just(DIGEST) | st.none(),
        "dist-info-metadata": st.booleans() | st.just(DIGEST) | st.none(),
        "provenance": st.sampled_from(
            [None, "https://index.example/repo/p", "https://x.example/p", "p/q", "javascript:1"]
        ),
        "yanked": st.booleans() | st.sampled_from(["broken", 'a "quote"', "é"]),
        "x": st.sampled_from(["url", {"url": "/repo/files/x"}, {"filename": "url"}, ["/repo"]]),
        "hashes": st.sampled_from([DIGEST, {}, {"sha256": 1}, {"url": "x"}]),
        "filename": st.sampled_from(["lib-9.0.tar.gz", "../lib-9.0.tar.gz", "lib:9.zip", "a|b"]),
        "url": st.sampled_from(["lib-9.0.tar.gz#sha256=00", "/repo/files/a b.zip", "x?y", "x\ny"]),
    },
)
ODD_STARTS = st.sampled_from(["/repo/files/", "https://cdn.example/", ""])


@st.composite
def pages(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw pages that are alike in all files, and such that one file is another in."""
    start, count = draw(STARTS), draw(st.integers(1, 4))
    files = entries(start, count)
    for file in files:
        file.update(draw(st.just({}) | MORE))
    if draw(st.booleans()):
        files.append(entry(8, draw(ODD_STARTS)))
    return files


def anew(body: bytes) -> ProjectPage:
    """Return the page as one that has no text."""
    assert b"\\u0041" not in body
    page = parse_json(body[:-1] + rb', "x-escaped": "\u0041"}', URL)
    assert page.text is None
    return page.with_just(page.files)


def said(body: bytes) -> Any:
    document = json.loads(body)
    document.pop("x-escaped", None)
    return document


@given(pages(), st.booleans(), st.sampled_from([INDEX, None]))
@example(entries("/repo/files/"), False, INDEX)
@example([entry(0, "http://127.0.0.1:9/")], False, None)
def test_a_text_says_what_the_page_would_say_if_it_were_written_anew(
    files: list[dict[str, Any]], compact: bool, index: Index | None
) -> None:
    body = written(files, compact=compact)
    page, other = parse_json(body, URL), anew(body)
    assert page.files == other.files
    assert said(page.to_json()) == said(other.to_json())

    wheels = {file["url"] for file in page.files[::2]}
    offered, other_offered = page.announcing_metadata(wheels), other.announcing_metadata(wheels)
    assert offered.files == other_offered.files
    assert said(offered.to_json()) == said(other_offered.to_json())

    for one, another in ((page, other), (offered, other_offered)):
        text = localised_json(found(one, index), GATEWAY)
        whole = localised(found(another, index), GATEWAY, NothingLearned())  # type: ignore[arg-type]
        assert text is None or said(text) == said(whole.to_json())


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize(
    "start", ["/repo/files/", "../../files/", "", "https://index.example/repo/files/"]
)
def test_pages_as_indexes_write_them_go_on_as_they_came(start: str, compact: bool) -> None:
    body = written(entries(start, 100), compact=compact, versions=["0.0"])
    page = parse_json(body, URL)
    assert page.text is not None
    assert page.to_json().count(b'"https://index.example/repo/') == 100
    text = localised_json(found(page), GATEWAY)
    assert text is not None
    assert text.count(f"{GATEWAY}/python/files/repo/".encode()) == 100
    assert HOST.encode() not in text


def test_a_page_whose_links_stay_is_the_very_bytes_that_came() -> None:
    body = written(entries("https://cdn.example/packages/"))
    for index in (INDEX, None):
        assert localised_json(found(parse_json(body, URL), index), GATEWAY) is body
    assert parse_json(body, URL).to_json() is body


@pytest.mark.parametrize(
    "body",
    [
        # The first of two is what some parser reads, the last what we do.
        written(entries("/repo/")).replace(b'"url"', b'"url": "http://127.0.0.1/", "url"', 1),
        written(entries("/repo/")).replace(b'"url"', b'"url" : "http://127.0.0.1/", "url"', 1),
        written(entries("/repo/")).replace(b'"file', b'"filename": "../x.whl", "file', 1),
        written(entries("/repo/")).replace(b'"files"', b'"files": [{"url": "/x"}], "files"', 1),
        written(entries("/repo/"), url="/repo/x"),
        written(entries("/repo/"), note="url"),
        written(entries("/repo/"), note='"url": "/repo/'),
        written(entries("/repo/"), note="é").decode().encode("utf-16"),
        written([*entries("/repo/"), entry(9, "https://cdn.example/")]),
        written([*entries("/repo/"), entry(9, "/")]).replace(b'"url": "/l', b'"url":"/l'),
        written(entries("/repo/")).replace(b"/repo/", rb"\/repo\/", 1),
        written([]),
        written(entries("/repo/")).decode().encode("utf-16-le"),
        written(entries("../" * 17)),
    ],
    ids=range(14),
)
def test_a_text_that_could_say_something_else_is_written_anew(body: bytes) -> None:
    page = parse_json(body, URL)
    assert page.text is None
    assert localised_json(found(page), GATEWAY) is None
    assert [file["url"] for file in json.loads(page.to_json())["files"]] == [
        file["url"] for file in page.files
    ]


@pytest.mark.parametrize("index", [INDEX, None])
def test_links_to_this_machine_are_looked_at_one_by_one(index: Index | None) -> None:
    page = parse_json(written(entries("http://127.0.0.1:8080/")), URL)
    assert page.text is not None
    assert localised_json(found(page, index), GATEWAY) is None
    shown = localised(found(page, index), GATEWAY, NothingLearned())  # type: ignore[arg-type]
    assert shown.files == []


@pytest.mark.parametrize(
    "files",
    [
        [entry(1), entry(2, hashes={})],
        [entry(1, provenance=f"{HOST}/repo/simple/lib/p")],
        [entry(1, "/repo/files/%2e%2e/")],
        [entry(1, f"{HOST}:443/repo/files/")],
        [entry(1, f"{HOST}/repo/../files/")],
        [entry(1), entry(2, "/other/")],
    ],
    ids=["no hash", "attested here", "escaped dots", "the port", "dots", "beside it"],
)
def test_files_that_are_not_all_alike_are_looked_at_one_by_one(files: list[dict[str, Any]]) -> None:
    index = replace(INDEX, url=f"{HOST}/repo")
    assert localised_json(found(parse_json(written(files), URL), index), GATEWAY) is None


def test_what_takes_the_place_of_a_link_is_escaped() -> None:
    page = parse_json(written(entries("/repo/files/")), URL)
    assert page.text is not None
    linked = json.loads(page.text.linked_to('http://h/"\\/'))
    assert linked["files"][0]["url"].startswith('http://h/"\\/repo')


@pytest.mark.parametrize(
    ("said", "shown"),
    [("p/q", f"{URL}p/q"), ("javascript:1", None), (f"{HOST}/p", f"{HOST}/p"), (None, None)],
)
def test_a_link_to_a_provenance_is_looked_at_as_others_are(said: str | None, shown: str) -> None:
    text = written([entry(1), entry(2, provenance=said)])
    for body in (text, text.decode().encode("utf-16-le")):  # which is ASCII, too
        page = parse_json(body, URL)
        assert page.files[1]["provenance"] == shown
        assert json.loads(page.to_json())["files"] == page.files


def test_a_page_with_other_files_is_written_anew() -> None:
    page = parse_json(written(entries("/repo/files/")), URL)
    for other in (page.with_just(page.files[:1]), page.with_files(lambda file: {**file, "x": 1})):
        assert json.loads(other.to_json())["files"] == other.files


def test_metadata_is_not_announced_twice() -> None:
    body = written([entry(1, **{"core-metadata": False}), entry(2)])
    page = parse_json(body, URL)
    first, second = (file["url"] for file in page.files)
    assert page.announcing_metadata({second}).text is not None
    assert page.announcing_metadata({first}).text is None
    assert page.announcing_metadata({first}).to_json().count(b"core-metadata") == 1
