"""Conditional and range requests for files (RFC 9110 §13, §14), from the index and the cache."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import pytest
from conformance.front import Front
from conformance.origin import MODIFIED, TYPE, File
from conformance.states import CONTENT, SIZE, both, path_of, prepared
from gateway.upstream import start


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
