"""How pages travel: redirects, HEAD, conditions, ranges, encodings, and whose token goes where."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from conformance.front import HTML, JSON, Front
from gateway.upstream import ask, start, whole

PAGE = '<!DOCTYPE html><a href="lib-1.0.zip#sha256=' + "a" * 64 + '">lib-1.0.zip</a>'


def raw_get(front: Front, path: str, *headers: str, method: str = "GET") -> Any:
    return ask(front.gate, path, *headers, method=method)


class TestNames:
    """PEP 503: one URL for each project, with a slash at its end."""

    @pytest.mark.parametrize(
        ("asked", "leads_to"),
        [
            ("/python/simple/Foo_Bar.baz/", "/python/simple/foo-bar-baz/"),
            ("/python/simple/foo--bar/", "/python/simple/foo-bar/"),
            ("/python/simple/foo", "/python/simple/foo/"),
            ("/python/simple/FOO", "/python/simple/foo/"),
            ("/python/simple/f%6Fo.bar/", "/python/simple/foo-bar/"),
            ("/python/simple", "/python/simple/"),
            ("/simple/Foo/", "/simple/foo/"),
            ("/Foo/", "/foo/"),
            ("/foo", "/foo/"),
        ],
    )
    def test_another_spelling_is_a_redirect(self, front: Front, asked: str, leads_to: str) -> None:
        before = len(front.upstream.requests)
        for method in ("GET", "HEAD"):
            answer = raw_get(front, asked, method=method)
            assert answer.status == 301
            assert f"location: {leads_to}" in answer.head
        assert len(front.upstream.requests) == before, "the index need not know"

    @pytest.mark.parametrize(
        "name", ["-foo", "foo-", "_foo", "f%C3%B6", "%ff", "foo%20bar", "%00", "foo+bar", ".", ".."]
    )
    def test_what_is_no_name_is_a_404_and_never_reaches_the_index(
        self, front: Front, name: str
    ) -> None:
        before = len(front.upstream.requests)
        assert raw_get(front, f"/python/simple/{name}/").status == 404
        assert len(front.upstream.requests) == before

    def test_the_index_is_asked_for_the_normalised_name(self, front: Front) -> None:
        """Clients MUST request the normalized URL."""
        name = front.add(PAGE)
        front.gate.http.get(f"{front.gate.url}/python/simple/{name.upper()}", follow_redirects=True)
        assert front.seen(f"/simple/{name}/")
        assert not front.seen(f"/simple/{name.upper()}/")


class TestUpstreamRedirects:
    """Links are relative to where a page was in the end."""

    def test_relative_links_count_from_the_final_url(self, front: Front) -> None:
        name = front.add(PAGE)
        moved = whole(301, b"", location=f"/simple/moved/{name}/")
        front.upstream.routes[f"/simple/{name}/"] = moved
        front.upstream.routes[f"/simple/moved/{name}/"] = whole(200, PAGE.encode())
        (file,) = front.get(name).json()["files"]
        assert file["url"].endswith(f"/python/files/simple/moved/{name}/lib-1.0.zip")


class TestHeadAndConditions:
    """RFC 9110 §9.3.2, §13.1.2, §15.4.5."""

    @pytest.mark.parametrize("accept", [JSON, HTML])
    def test_head_has_the_fields_of_get_and_no_body(self, front: Front, accept: str) -> None:
        path = f"/python/simple/{front.add(PAGE)}/"
        get = front.gate.get(path, accept=accept)
        head = front.gate.request("HEAD", path, accept=accept)
        assert head.status_code == 200
        assert head.content == b""
        ignored = {"date", "x-request-id"}
        fields = {k: v for k, v in get.headers.items() if k not in ignored}
        assert {k: v for k, v in head.headers.items() if k not in ignored} == fields
        assert int(head.headers["content-length"]) == len(get.content)

    def test_each_form_has_a_strong_validator_of_its_own(self, front: Front) -> None:
        name = front.add(PAGE)
        tags = {front.get(name, accept).headers["etag"] for accept in (JSON, HTML)}
        assert len(tags) == 2
        assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)

    @pytest.mark.parametrize("condition", ["{}", "W/{}", '"x", {}', '"x" , W/{} ,"y"', "*"])
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_a_page_that_the_tool_has_is_a_304(
        self, front: Front, condition: str, method: str
    ) -> None:
        name = front.add(PAGE)
        first = front.get(name)
        given = condition.format(first.headers["etag"])
        answer = front.gate.request(
            method, f"/python/simple/{name}/", accept=JSON, if_none_match=given
        )
        assert (answer.status_code, answer.content) == (304, b"")
        # MUST generate any of these that a 200 would have had.
        for field in ("etag", "vary", "cache-control"):
            assert answer.headers[field] == first.headers[field]
        assert "content-type" not in answer.headers

    @pytest.mark.parametrize("condition", ['"x"', "x", '"{}x"', "", "{other}"])
    def test_another_page_is_a_200(self, front: Front, condition: str) -> None:
        name = front.add(PAGE)
        tag, other = (front.get(name, accept).headers["etag"] for accept in (JSON, HTML))
        given = condition.replace("{other}", other).replace("{}", tag.strip('"'))
        answer = front.gate.get(f"/python/simple/{name}/", accept=JSON, if_none_match=given)
        assert answer.status_code == 200
        assert answer.content

    def test_conditions_on_two_lines_are_one_list(self, front: Front) -> None:
        name = front.add(PAGE)
        tag = front.get(name).headers["etag"]
        lines = [("accept", JSON), ("if-none-match", '"x"'), ("if-none-match", tag)]
        answer = front.gate.http.get(f"{front.gate.url}/python/simple/{name}/", headers=lines)
        assert answer.status_code == 304

    def test_no_304_unless_somebody_asked(self, front: Front) -> None:
        """The index's own 304, to the gateway's question, stays between the two."""
        name = front.add(PAGE, etag='"upstream"', cache_control="no-cache")
        assert front.get(name).status_code == 200
        front.upstream.routes[f"/simple/{name}/"] = not_modified
        answer = front.get(name)
        assert answer.status_code == 200
        assert answer.json()["files"]

    def test_a_range_of_a_page_is_the_whole_page(self, front: Front) -> None:
        """RFC 9110 §14.2: a server MAY ignore the Range header field."""
        name = front.add(PAGE)
        answer = front.gate.get(f"/python/simple/{name}/", accept=JSON, range="bytes=0-3")
        assert answer.status_code == 200
        assert answer.json()["files"]


async def not_modified(scope: dict[str, Any], receive: Any, send: Any) -> None:
    headers = dict(scope["headers"])
    if headers.get(b"if-none-match") == b'"upstream"':
        await send(start(304, etag='"upstream"'))
        await send({"type": "http.response.body", "body": b""})
    else:
        await whole(200, PAGE.encode(), etag='"upstream"')(scope, receive, send)


class TestContentEncoding:
    """RFC 9110 §12.5.3; the answers differ by Accept alone."""

    def test_the_index_is_asked_for_gzip_and_what_it_sends_is_unpacked(self, front: Front) -> None:
        name = front.add(gzip.compress(PAGE.encode()), "text/html", content_encoding="gzip")
        answer = front.get(name)
        assert answer.json()["files"][0]["filename"] == "lib-1.0.zip"
        assert "content-encoding" not in answer.headers
        (asked,) = front.seen(f"/simple/{name}/")
        assert asked["accept-encoding"] == "gzip"

    @pytest.mark.parametrize("wanted", ["gzip, deflate, br, zstd", "identity", "*;q=0", ""])
    def test_a_tool_gets_pages_as_they_are(self, front: Front, wanted: str) -> None:
        """Over loopback, packing 20 MB takes longer than to send them."""
        name = front.add(PAGE)
        answer = front.gate.get(f"/python/simple/{name}/", accept=JSON, accept_encoding=wanted)
        assert "content-encoding" not in answer.headers
        assert answer.headers["vary"] == "accept"
        assert answer.headers["etag"] == front.get(name).headers["etag"]


class TestWhoMaySee:
    """Nothing of the tool's login goes to the index, and the index's to nobody else."""

    def test_the_index_gets_its_token_and_nothing_of_the_tools(self, front: Front) -> None:
        name = front.add(PAGE)
        front.gate.get(
            f"/python/simple/{name}/", authorization="Basic eDp5", cookie="a=b", referer="http://x"
        )
        (asked,) = front.seen(f"/simple/{name}/")
        assert asked["authorization"].startswith("Bearer ")
        assert not {"cookie", "referer"} & set(asked)

    def test_pages_are_for_this_user_and_checked_each_time(self, front: Front) -> None:
        cache_control = front.get(front.add(PAGE)).headers["cache-control"]
        assert {part.strip() for part in cache_control.split(",")} == {"private", "no-cache"}
