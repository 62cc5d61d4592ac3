"""Files of the private index, as they pass through the gateway."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx2
import pytest
from gateway.upstream import ask

from crane_devserver import Fault, make_sdist

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.conftest import Site

    from crane_devserver import RequestRecord

WEB_PAGE = (("content-type", "text/html;charset=UTF-8"),)


def add(site: Site, name: str, size: int = 0) -> tuple[Path, str]:
    """Upload a wheel; return it and its URL at the gateway."""
    path = site.world.add_private(name, size=size)
    return path, f"/python/files/python/{name}/{path.name}"


def last(site: Site, path: str) -> RequestRecord:
    """Return the last request that the index got for a path of the gateway's."""
    wanted = path.removeprefix("/python/files").partition("?")[0]
    return [r for r in site.world.crane.requests if r.path == wanted][-1]


def test_a_file_arrives_byte_by_byte_with_its_type(site: Site) -> None:
    path, url = add(site, "plain-lib", size=300_000)
    answer = site.gate.get(url)
    assert answer.content == path.read_bytes()
    assert answer.headers["content-type"] == "application/zip"
    assert last(site, url).header("accept-encoding") == "identity"


def test_an_sdist_and_an_empty_file_arrive_as_well(site: Site) -> None:
    sdist = make_sdist(site.world.private / "src-lib", "src-lib", "1.0")
    empty = site.world.private / "src-lib" / "empty.txt"
    empty.write_bytes(b"")
    assert site.gate.get(f"/python/files/python/src-lib/{sdist.name}").content == sdist.read_bytes()
    assert site.gate.get("/python/files/python/src-lib/empty.txt").content == b""


def test_a_page_links_to_files_through_the_gateway_as_the_tool_knows_it(site: Site) -> None:
    path, url = add(site, "linked-lib")
    (file,) = site.gate.files("linked-lib")
    assert file["url"] == f"{site.gate.url}{url}"
    page = ask(site.gate, "/simple/linked-lib/", host=f"localhost:{site.gate.port}")
    assert f"http://localhost:{site.gate.port}{url}".encode() in page.body
    assert path.name.encode() in page.body


def test_head_asks_the_index_with_head_and_has_no_body(site: Site) -> None:
    _, url = add(site, "head-lib")
    answer = ask(site.gate, url, method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert last(site, url).method == "HEAD"


def test_a_file_that_the_tool_has_already_is_a_304(site: Site) -> None:
    _, url = add(site, "same-lib")
    modified = site.gate.get(url).headers["last-modified"]
    answer = site.gate.get(url, if_modified_since=modified)
    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("bytes=0-9", slice(0, 10)), ("bytes=10-", slice(10, None)), ("bytes=-22", slice(-22, None))],
)
def test_a_range_is_passed_on_where_the_index_serves_ranges(
    site: Site, monkeypatch: pytest.MonkeyPatch, wanted: str, expected: slice
) -> None:
    capable = replace(site.world.crane.behaviour, ranges=True, content_length=True, etag=True)
    monkeypatch.setattr(site.world.crane, "behaviour", capable)
    path, url = add(site, "range-lib")
    content = path.read_bytes()

    answer = site.gate.get(url, range=wanted)

    assert (answer.status_code, answer.content) == (206, content[expected])
    assert answer.headers["content-range"].endswith(f"/{len(content)}")
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-length"] == str(len(answer.content))


def test_a_range_outside_of_the_file_is_a_416(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    capable = replace(site.world.crane.behaviour, ranges=True)
    monkeypatch.setattr(site.world.crane, "behaviour", capable)
    path, url = add(site, "outside-lib")
    answer = site.gate.get(url, range="bytes=99999999-")
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{path.stat().st_size}"


def test_an_index_without_ranges_sends_the_whole_file_as_200(site: Site) -> None:
    path, url = add(site, "whole-lib")
    answer = site.gate.get(url, range="bytes=0-9")
    assert (answer.status_code, answer.content) == (200, path.read_bytes())


def test_a_query_belongs_to_the_file(site: Site) -> None:
    path, _ = add(site, "signed-lib")
    folder = site.world.private / "signed-lib"
    (folder / "index.html").write_text(
        f'<a href="{path.name}?sig=a%2Fb&amp;x=1#sha256={"0" * 64}">{path.name}</a>'
    )
    (file,) = site.gate.files("signed-lib")
    assert file["url"].endswith(f"/{path.name}?sig=a%2Fb&x=1")
    assert site.gate.get(file["url"]).status_code == 200
    assert last(site, f"/python/files/python/signed-lib/{path.name}").query == "sig=a%2Fb&x=1"


def test_characters_in_a_name_are_neither_lost_nor_encoded_twice(site: Site) -> None:
    folder = site.world.private / "plus-lib"
    folder.mkdir()
    name = "plus_lib-1.0+local.é-py3-none-any.whl"
    (folder / name).write_bytes(b"content")
    (file,) = site.gate.files("plus-lib")
    assert file["filename"] == name
    assert site.gate.get(file["url"]).content == b"content"


def test_a_missing_file_is_a_404_with_a_reason(site: Site) -> None:
    """pip shows the reason phrase of a file's error; a bare `Not Found` helps nobody."""
    answer = site.gate.get("/python/files/python/no-lib/no_lib-1.0-py3-none-any.whl")
    assert answer.status_code == 404
    assert answer.reason_phrase.startswith("crane: ")
    assert "no_lib-1.0-py3-none-any.whl" in answer.reason_phrase


def test_a_folder_is_no_file(site: Site) -> None:
    """Its listing holds the user's CSRF token for the server."""
    add(site, "folder-lib")
    assert site.gate.get("/python/files/python/folder-lib/").status_code in {403, 404}


@pytest.mark.parametrize(("upstream", "status"), [(401, 403), (403, 403), (429, 504), (500, 504)])
def test_a_refused_file_says_why_with_a_status_that_pip_does_not_retry(
    site: Site, upstream: int, status: int
) -> None:
    _, url = add(site, "refused-lib")
    fault = Fault("/python/refused-lib/", status=upstream)
    with site.world.crane.faults.during(fault):
        answer = site.gate.get(url)
    assert answer.status_code == status
    assert f"HTTP {upstream}" in answer.reason_phrase
    assert site.gate.events[-1].problem, "whoever watches is told as well"


@pytest.mark.parametrize("suffix", ["", ".metadata"])
def test_a_web_page_in_a_files_place_is_refused(site: Site, suffix: str) -> None:
    """A login page with status 200 must not be installed, nor be read as metadata."""
    _, url = add(site, "paged-lib")
    login = Fault(
        "/python/paged-lib/", status=200, headers=WEB_PAGE, body='<input type="password">'
    )
    with site.world.crane.faults.during(login):
        answer = site.gate.get(url + suffix)
    assert answer.status_code == 403
    assert b"password" not in answer.content


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("after", [0, 1, 200_000])
def test_a_file_that_breaks_off_upstream_is_never_a_clean_end(
    site: Site, monkeypatch: pytest.MonkeyPatch, sized: bool, after: int
) -> None:
    shaped = replace(site.world.crane.behaviour, content_length=sized)
    monkeypatch.setattr(site.world.crane, "behaviour", shaped)
    _, url = add(site, "cut-lib", size=400_000)
    with site.world.crane.faults.during(Fault("/python/cut-lib/", cut_after_bytes=after)):
        broken = pytest.raises(httpx2.RemoteProtocolError)
        with broken:
            answer = site.gate.get(url)
            assert answer.status_code != 200
            raise httpx2.RemoteProtocolError(answer.reason_phrase)
    assert any("cut_lib" in e.what and e.problem for e in site.gate.events)
    # It was no file, so nothing about it is remembered.
    assert "sha256" not in site.gate.files("cut-lib")[0]["hashes"]


def test_only_the_headers_that_a_file_needs_come_through(site: Site) -> None:
    _, url = add(site, "chatty-lib")
    headers = (
        ("content-type", "application/zip"),
        ("set-cookie", "JSESSIONID=secret; Path=/"),
        ("www-authenticate", "Bearer"),
        ("access-control-allow-origin", "*"),
        ("server", "Apache-Coyote"),
        ("x-anything", "else"),
        ("location", "https://evil.example/"),
        ("strict-transport-security", "max-age=1"),
        ("alt-svc", "h3=:1"),
    )
    canned = Fault("/python/chatty-lib/", status=200, headers=headers, body=b"not a zip")
    with site.world.crane.faults.during(canned):
        answer = site.gate.get(url)
    assert set(answer.headers) <= {
        "content-type", "content-length", "transfer-encoding", "date", "cache-control",
        "connection", "x-request-id",
    }  # fmt: skip


def test_a_page_hands_on_no_header_of_the_index(site: Site) -> None:
    headers = (("content-type", "text/html"), ("set-cookie", "a=b"), ("etag", '"upstream"'))
    canned = Fault("/python/cookie-lib/", status=200, headers=headers, body="<a href='x'>x</a>")
    with site.world.crane.faults.during(canned):
        answer = site.gate.project("cookie-lib")
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert answer.headers["etag"] != '"upstream"'


def test_a_file_that_is_compressed_without_being_asked_is_refused(site: Site) -> None:
    """Its bytes are not those that were hashed, and whoever decodes it holds it in memory."""
    _, url = add(site, "zipped-lib")
    headers = (("content-type", "application/zip"), ("content-encoding", "gzip"))
    body = gzip.compress(b"content " * 5000)
    canned = Fault("/python/zipped-lib/", status=200, headers=headers, body=body)
    with site.world.crane.faults.during(canned):
        answer = site.gate.get(url)
    assert answer.status_code == 504
    assert "an encoding that nobody asked for" in answer.reason_phrase


def test_a_part_that_nobody_asked_for_is_refused(site: Site) -> None:
    """It would pass by the comparison of hashes."""
    _, url = add(site, "partial-lib")
    headers = (("content-type", "application/zip"), ("content-range", "bytes 0-3/4"))
    canned = Fault("/python/partial-lib/", status=206, headers=headers, body=b"evil")
    with site.world.crane.faults.during(canned):
        answer = site.gate.get(url)
    assert answer.status_code == 504
    assert "a part of the file that nobody asked for" in answer.reason_phrase
    assert b"evil" not in answer.content


def test_the_watcher_learns_the_name_the_source_and_the_size(site: Site) -> None:
    path, url = add(site, "seen-lib")
    site.gate.get(url)
    event = next(e for e in site.gate.events if e.what == path.name)
    assert (event.kind, event.source, event.size) == ("file", "python", path.stat().st_size)


def test_a_page_that_the_tool_has_already_is_a_304(site: Site) -> None:
    add(site, "cached-lib")
    first = site.gate.get("/simple/cached-lib/")
    again = site.gate.get("/simple/cached-lib/", if_none_match=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    add(site, "cached-lib")
    site.world.add_private("cached-lib", "2.0")
    changed = site.gate.get("/simple/cached-lib/", if_none_match=first.headers["etag"])
    assert changed.status_code == 200


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.v1+json"),
        ("application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.v1+html"),
        ("text/html", "text/html"),
        ("*/*", "text/html"),
        ("", "text/html"),
        (
            (
                "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, "
                "text/html; q=0.01"
            ),
            "application/vnd.pypi.simple.v1+json",
        ),
        ("text/html;q=0.9, application/vnd.pypi.simple.v1+json;q=0.1", "text/html"),
        ("application/vnd.pypi.simple.v1+json;q=0, text/html", "text/html"),
        ("application/vnd.pypi.simple.v1+json;q=x, text/html", "text/html"),
        ("image/png", "text/html"),
    ],
)
def test_the_tool_gets_the_form_of_page_that_it_prefers(site: Site, accept: str, kind: str) -> None:
    add(site, "form-lib")
    for page in ("/python/simple/form-lib/", "/python/simple/"):
        answer = ask(site.gate, page, f"accept: {accept}")
        assert re.search(rf"content-type: {re.escape(kind)}\r", answer.head + "\r")
        assert "vary: accept" in answer.head
        assert (answer.body.lstrip()[:1] == b"{") == kind.endswith("json")
