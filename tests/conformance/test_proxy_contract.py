"""The contract of an HTTP intermediary (RFC 9110, 9112), for files, line by line.

Each line holds for a file that comes from the index (`cold`) and for one from the cache (`warm`).
"""

from __future__ import annotations

import itertools
import re
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import httpx2
import pytest
from conformance.front import Front
from conformance.origin import MODIFIED, TYPE, Broken, File
from gateway.upstream import ask, start

CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)
_numbers = itertools.count(1)
HOP_BY_HOP = (
    "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "upgrade",
)  # fmt: skip


def path_of(front: Front, handler: Any) -> str:
    """Put a file on the index under a name that nobody has asked for; return the path."""
    path = f"/files/contract_{next(_numbers)}-1.0-py3-none-any.whl"
    front.put(path, handler)
    return path


def prepared(front: Front, state: str, handler: Any) -> str:
    """Put a file on the index and, if it shall be warm, fetch it; return its URL."""
    path = path_of(front, handler)
    url = f"{front.gate.url}/python/files{path}"
    if state == "warm":
        assert front.gate.get(url).content == handler.content
    return url


both = pytest.mark.parametrize("state", ["cold", "warm"])


class TestHopByHop:
    """RFC 9110 §7.6.1: fields of one connection end with it, those named in Connection too."""

    def test_of_the_request_stay_with_the_tool(self, front: Front) -> None:
        path = path_of(front, File(CONTENT))
        lines = [f"{name}: x" for name in HOP_BY_HOP]
        answer = ask(front.gate, f"/python/files{path}", *lines, "connection: x-own", "x-own: 1")
        assert answer.status == 200
        (seen,) = front.seen(path)
        assert not {*HOP_BY_HOP, "x-own", "transfer-encoding"} & set(seen)
        assert "x-own" not in seen.get("connection", "")

    def test_no_via_is_sent_since_nginx_would_send_pages_unpacked(self, front: Front) -> None:
        """A deviation from §7.6.3, on purpose: docs/reference/protocol.md."""
        name = front.add('<a href="lib-1.0.zip">x</a>')
        assert ask(front.gate, f"/python/simple/{name}/", "via: 1.1 other").status == 200
        (seen,) = front.seen(f"/simple/{name}/")
        assert "via" not in seen

    @both
    def test_of_the_answer_stay_with_the_index(self, front: Front, state: str) -> None:
        extra = {name.replace("-", "_"): "x" for name in HOP_BY_HOP}
        file = File(CONTENT, extra={**extra, "connection": "x-own", "x_own": "1"})
        headers = front.gate.get(prepared(front, state, file)).headers
        assert not {*HOP_BY_HOP, "x-own"} & set(headers)
        assert "x-own" not in headers.get("connection", "")

    @both
    def test_cookies_and_logins_stay_where_they_are(self, front: Front, state: str) -> None:
        file = File(CONTENT, extra={"set_cookie": "a=b", "www_authenticate": "Bearer"})
        url = prepared(front, state, file)
        headers = front.gate.get(url, cookie="c=d", authorization="Basic eDp5").headers
        assert not {"set-cookie", "www-authenticate"} & set(headers)
        seen = front.seen(url.removeprefix(f"{front.gate.url}/python/files"))
        assert all("cookie" not in headers for headers in seen)
        assert all(headers["authorization"].startswith("Bearer ") for headers in seen)


class TestFraming:
    """RFC 9112 §6: one length, and no end that is none."""

    @both
    @pytest.mark.parametrize("sized", [True, False])
    def test_there_is_a_length_or_there_are_chunks_never_both(
        self, front: Front, state: str, sized: bool
    ) -> None:
        url = prepared(front, state, File(CONTENT, sized=sized))
        answer = front.gate.get(url)
        lengths = answer.headers.get_list("content-length")
        chunked = answer.headers.get("transfer-encoding") == "chunked"
        assert len(lengths) + chunked == 1
        assert answer.content == CONTENT

    @pytest.mark.parametrize("sized", [True, False])
    def test_a_file_that_breaks_off_breaks_off_for_the_tool(
        self, front: Front, sized: bool
    ) -> None:
        path = path_of(front, Broken(CONTENT * 20, sized))
        with pytest.raises(httpx2.HTTPError):
            front.gate.get(f"{front.gate.url}/python/files{path}")
        raw = ask(front.gate, f"/python/files{path}")
        assert not raw.data.endswith(b"0\r\n\r\n"), "no clean end"
        assert len(raw.body) < 2 * len(CONTENT * 20)

    @both
    def test_head_has_no_body_and_the_files_length(self, front: Front, state: str) -> None:
        url = prepared(front, state, File(CONTENT))
        raw = ask(front.gate, url.removeprefix(front.gate.url), method="HEAD")
        assert raw.status == 200
        assert raw.body == b""
        assert f"content-length: {SIZE}" in raw.head.lower()


class TestWhatIsSaidOfAFile:
    """Representation metadata comes through as the index says it."""

    @both
    def test_its_validators_type_and_caching_are_intact(self, front: Front, state: str) -> None:
        file = File(CONTENT, extra={"cache_control": "max-age=5, private"})
        headers = front.gate.get(prepared(front, state, file)).headers
        assert headers["etag"] == '"one"'
        assert headers["last-modified"] == MODIFIED
        assert headers["content-type"] == TYPE
        assert headers["cache-control"] == "max-age=5, private"

    def test_an_encoding_that_nobody_asked_for_is_refused(self, front: Front) -> None:
        """Files are asked for as they are: their hash is of these bytes."""
        path = path_of(front, File(CONTENT, extra={"content_encoding": "gzip"}))
        answer = front.gate.get(f"{front.gate.url}/python/files{path}", accept_encoding="gzip")
        assert answer.status_code in {502, 504}
        (seen,) = front.seen(path)
        assert seen["accept-encoding"] == "identity"


class TestConditions:
    """RFC 9110 §13: a 304 for who asks, and for nobody else."""

    @both
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize(
        "condition",
        [
            {"if_none_match": '"one"'},
            {"if_none_match": '"zero", "one"'},
            {"if_none_match": "*"},
            {"if_modified_since": MODIFIED},
            {"if_none_match": '"one"', "if_modified_since": "Sun, 01 Jan 2023 00:00:00 GMT"},
        ],
        ids=str,
    )
    def test_a_file_that_the_tool_has_is_a_304(
        self, front: Front, state: str, method: str, condition: dict[str, str]
    ) -> None:
        url = prepared(front, state, File(CONTENT))
        answer = front.gate.request(method, url, **condition)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == '"one"'
        assert "content-length" not in answer.headers or method == "HEAD"

    @both
    @pytest.mark.parametrize(
        "condition",
        [
            {},
            {"if_none_match": '"two"'},
            {"if_modified_since": "Sun, 01 Jan 2023 00:00:00 GMT"},
            {"if_none_match": '"two"', "if_modified_since": MODIFIED},
            {"if_modified_since": "not a date"},
        ],
        ids=str,
    )
    def test_another_file_is_sent(
        self, front: Front, state: str, condition: dict[str, str]
    ) -> None:
        answer = front.gate.get(prepared(front, state, File(CONTENT)), **condition)
        assert (answer.status_code, answer.content) == (200, CONTENT)


class TestRanges:
    """RFC 9110 §14."""

    @both
    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            ("bytes=0-9", slice(0, 10)),
            ("bytes=0-0", slice(0, 1)),
            ("bytes=100-", slice(100, None)),
            ("bytes=-22", slice(-22, None)),
            (f"bytes=0-{SIZE - 1}", slice(0, None)),
            (f"bytes=10-{SIZE * 2}", slice(10, None)),
            (f"bytes=-{SIZE * 2}", slice(0, None)),
        ],
    )
    def test_a_part_is_a_206_and_just_these_bytes(
        self, front: Front, state: str, wanted: str, expected: slice
    ) -> None:
        answer = front.gate.get(prepared(front, state, File(CONTENT)), range=wanted)
        begin, end, _ = expected.indices(SIZE)
        assert answer.status_code == 206
        assert answer.content == CONTENT[expected]
        assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{SIZE}"
        assert answer.headers["etag"] == '"one"'
        assert answer.headers["content-type"] == TYPE

    @both
    @pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", "bytes=999999-"])
    def test_a_part_that_is_not_there_is_a_416(self, front: Front, state: str, wanted: str) -> None:
        answer = front.gate.get(prepared(front, state, File(CONTENT)), range=wanted)
        assert answer.status_code == 416
        assert answer.headers["content-range"] == f"bytes */{SIZE}"

    @both
    @pytest.mark.parametrize(
        "wanted", ["bytes", "bytes=", "bytes=x-y", "bytes=9-1", "lines=1-2", "bytes=--5", "0-5"]
    )
    def test_what_is_no_range_is_ignored(self, front: Front, state: str, wanted: str) -> None:
        answer = front.gate.get(prepared(front, state, File(CONTENT)), range=wanted)
        assert (answer.status_code, answer.content) == (200, CONTENT)

    @both
    def test_several_parts_are_all_there_or_the_whole_file_is(
        self, front: Front, state: str
    ) -> None:
        answer = front.gate.get(prepared(front, state, File(CONTENT)), range="bytes=0-4, 10-14")
        if answer.status_code == 200:
            assert answer.content == CONTENT
        else:
            assert answer.status_code == 206
            kind = answer.headers["content-type"]
            assert kind.startswith("multipart/byteranges")
            assert "content-range" not in answer.headers
            text = b"content-type: " + kind.encode() + b"\r\n\r\n" + answer.content
            parts = BytesParser(policy=HTTP).parsebytes(text).get_payload()
            assert isinstance(parts, list)
            found = [(p["content-range"], p.get_payload(decode=True)) for p in parts]
            assert found == [
                (f"bytes 0-4/{SIZE}", CONTENT[0:5]), (f"bytes 10-14/{SIZE}", CONTENT[10:15])
            ]  # fmt: skip

    @both
    def test_an_index_without_ranges_sends_all_and_a_part_is_never_taken_for_it(
        self, front: Front, state: str
    ) -> None:
        url = prepared(front, state, File(CONTENT, ranges=False))
        answer = front.gate.get(url, range="bytes=0-9")
        expected = {200: CONTENT, 206: CONTENT[:10]}
        assert answer.content == expected[answer.status_code]

    def test_a_part_that_nobody_asked_for_is_never_a_whole_file(self, front: Front) -> None:
        """206 never becomes 200."""
        path = path_of(front, partial)
        answer = front.gate.get(f"{front.gate.url}/python/files{path}")
        assert answer.status_code in {502, 504}
        assert answer.content != CONTENT[:10]

    @both
    @pytest.mark.parametrize(
        ("condition", "is_same"),
        [
            ('"one"', True),
            (MODIFIED, True),
            ('"two"', False),
            ("Sun, 01 Jan 2023 00:00:00 GMT", False),
            ('W/"one"', False),
            ("nonsense", False),
        ],
    )
    def test_if_range_gives_a_part_of_the_same_file_only(
        self, front: Front, state: str, condition: str, is_same: bool
    ) -> None:
        """RFC 9110 §13.1.5: strong comparison."""
        url = prepared(front, state, File(CONTENT))
        answer = front.gate.get(url, range="bytes=5-", if_range=condition)
        assert answer.status_code == (206 if is_same else 200)
        assert answer.content == (CONTENT[5:] if is_same else CONTENT)

    @both
    def test_a_range_does_not_make_a_cached_part_of_the_whole(
        self, front: Front, state: str
    ) -> None:
        url = prepared(front, state, File(CONTENT))
        assert front.gate.get(url, range="bytes=0-9").content == CONTENT[:10]
        assert front.gate.get(url).content == CONTENT


async def partial(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer every request with the first bytes."""
    content_range = f"bytes 0-9/{SIZE}"
    await send(start(206, content_type=TYPE, content_range=content_range, content_length="10"))
    await send({"type": "http.response.body", "body": CONTENT[:10]})


class TestMethodsAndStatuses:
    """RFC 9110 §9, §15."""

    @pytest.mark.parametrize(
        "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"]
    )
    def test_another_method_is_a_405_that_says_which_there_are(
        self, front: Front, method: str
    ) -> None:
        raw = ask(front.gate, "/python/simple/", method=method)
        assert raw.status == 405
        assert "allow: GET, HEAD" in raw.head

    @both
    def test_every_answer_has_one_date(self, front: Front, state: str) -> None:
        url = prepared(front, state, File(CONTENT))
        assert len(front.gate.get(url).headers.get_list("date")) == 1

    def test_metadata_is_served_where_it_is_announced(self, front: Front) -> None:
        """PEP 658: MUST serve the Core Metadata file alongside the distribution."""
        path = path_of(front, File(CONTENT))
        front.put(f"{path}.metadata", b"Metadata-Version: 2.1\nName: lib\nVersion: 1.0\n")
        digest = "0" * 64
        anchor = f'<a href="{path}" data-core-metadata="sha256={digest}">x</a>'
        (file,) = front.get(front.add(anchor)).json()["files"]
        answer = front.gate.get(f"{file['url']}.metadata")
        assert answer.status_code == 200
        assert answer.content.startswith(b"Metadata-Version: 2.1")
        assert re.fullmatch(r"/python/files/files/.*", file["url"].removeprefix(front.gate.url))

    def test_a_signature_is_alongside_its_file(self, front: Front) -> None:
        """PEP 503: the same name with .asc appended."""
        path = path_of(front, File(CONTENT))
        front.put(f"{path}.asc", b"-----BEGIN PGP SIGNATURE-----")
        (file,) = front.get(front.add(f'<a href="{path}" data-gpg-sig="true">x</a>')).json()[
            "files"
        ]
        assert front.gate.get(f"{file['url']}.asc").content.startswith(b"-----BEGIN")

    @pytest.mark.xfail(reason="gateway/files.py takes every file for one that never changes")
    def test_provenance_that_the_index_keeps_can_be_had_and_may_change(self, front: Front) -> None:
        """PEP 740: attestations are added later; the file stays the same, this one does not."""
        path = path_of(front, File(CONTENT))
        front.put(f"{path}.provenance", b'{"version":1}')
        anchor = f'<a href="{path}" data-provenance="{path}.provenance">x</a>'
        page = front.add(anchor.replace('provenance="', f'provenance="{front.upstream_url}'))
        (file,) = front.get(page).json()["files"]
        assert front.gate.get(file["provenance"]).content == b'{"version":1}'
        front.put(f"{path}.provenance", b'{"version":1,"more":2}')
        assert front.gate.get(file["provenance"]).content == b'{"version":1,"more":2}'
