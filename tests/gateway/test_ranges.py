"""Parts of a cached file, and *you have it already*, as RFC 9110 has them."""

from __future__ import annotations

import email
import email.policy
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from gateway.depot import PATH, Depot, File, depot, http_date, noise, sha256
from gateway.upstream import whole
from hypothesis import given
from hypothesis import strategies as st

from crane_core.gateway.ranges import (
    MOST_SPANS,
    Span,
    Validators,
    read_content_range,
    wanted_spans,
)

CONTENT = noise(1_000_000)
SIZE = len(CONTENT)
ETAG, MODIFIED = '"abc"', "Mon, 06 Jul 2026 10:00:00 GMT"
EARLIER, LATER = "Mon, 06 Jul 2026 09:59:59 GMT", "Mon, 06 Jul 2026 10:00:01 GMT"


class TestReadingARange:
    @pytest.mark.parametrize(
        ("header", "spans"),
        [
            ("bytes=0-0", [(0, 1)]),
            ("bytes=0-9", [(0, 10)]),
            ("bytes=90-", [(90, 100)]),
            ("bytes=90-99", [(90, 100)]),
            ("bytes=90-1000", [(90, 100)]),
            ("bytes=-1", [(99, 100)]),
            ("bytes=-1000", [(0, 100)]),
            ("bytes=0-", [(0, 100)]),
            ("BYTES=0-9", [(0, 10)]),
            ("bytes = 0-9 , 20-29", [(0, 10), (20, 30)]),
            ("bytes=,0-9,,\t20-29,", [(0, 10), (20, 30)]),
            ("bytes=20-29,0-9", [(20, 30), (0, 10)]),
            ("bytes=0-9,10-19", [(0, 10), (10, 20)]),
            ("bytes=0-9,100-200", [(0, 10)]),
            ("bytes=0-9,-0", [(0, 10)]),
            ("bytes=0009-0010", [(9, 11)]),
            # Nothing of that is there.
            ("bytes=100-", []),
            ("bytes=100-200", []),
            ("bytes=-0", []),
            ("bytes=100-,200-,-0", []),
            ("bytes=999999999999999999-", []),
        ],
    )
    def test_of_a_hundred_bytes(self, header: str, spans: list[tuple[int, int]]) -> None:
        assert wanted_spans(header, 100) == [Span(*span) for span in spans]

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=0",
            "bytes=9-0",
            "bytes=0-9,9-0",
            "bytes=0-9,x",
            "bytes=0-9;20-29",
            "bytes=0 - 9",
            "bytes=--9",
            "bytes=+0-9",
            "bytes=0x0-9",
            "bytes=²-9",
            "bytes=0-9-19",
            "bytes=1_0-20",
            "items=0-9",
            "bytes 0-9/100",
            f"bytes=0-{'9' * 5000}",
            # CVE-2011-3192: many parts, or the same bytes again and again.
            "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 2 * MOST_SPANS + 2, 2)),
            "bytes=0-,0-,0-",
            "bytes=0-9,9-19",
            "bytes=50-59,0-99",
            "bytes=0-9,-100",
            "bytes=-10,90-",
        ],
    )
    def test_is_ignored_where_it_is_malformed_or_too_much(self, header: str) -> None:
        assert wanted_spans(header, 100) is None

    def test_of_an_empty_file_is_ignored(self) -> None:
        assert wanted_spans("bytes=0-", 0) is None
        assert wanted_spans("bytes=-5", 0) is None

    def test_may_have_as_many_parts_as_anybody_needs(self) -> None:
        header = "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 2 * MOST_SPANS, 2))
        spans = wanted_spans(header, 100)
        assert spans is not None
        assert len(spans) == MOST_SPANS

    @given(st.text(alphabet="bytes=-0123456789, ", max_size=40), st.integers(0, 200))
    def test_never_gives_what_is_not_there_nor_anything_twice(self, header: str, size: int) -> None:
        for text in (header, f"bytes={header}"):
            spans = wanted_spans(text, size) or []
            assert all(0 <= span.start < span.stop <= size for span in spans)
            assert sum(span.length for span in spans) <= size

    @given(st.integers(0, 120), st.integers(0, 120))
    def test_of_one_part_is_a_slice(self, first: int, last: int) -> None:
        content = bytes(range(100))
        expected = content[first : last + 1] if first <= last else None
        spans = wanted_spans(f"bytes={first}-{last}", 100)
        if expected is None:
            assert spans is None
        else:
            assert b"".join(content[s.start : s.stop] for s in spans or []) == expected


class TestContentRange:
    def test_is_read(self) -> None:
        assert read_content_range("bytes 5-9/10") == (Span(5, 10), 10)
        assert Span(5, 10).content_range(10) == "bytes 5-9/10"

    @pytest.mark.parametrize(
        "value",
        [
            "", "bytes */10", "bytes 5-9/*", "bytes 9-5/10", "bytes 5-10/10", "items 5-9/10",
            "bytes=5-9/10", "bytes 5-9", "bytes 5-9/10, bytes 0-4/10", "bytes -5-9/10",
        ],
    )  # fmt: skip
    def test_that_says_nothing_is_none(self, value: str) -> None:
        assert read_content_range(value) is None


class TestValidators:
    @pytest.mark.parametrize(
        ("etag", "modified", "if_none_match", "if_modified_since", "unchanged"),
        [
            (ETAG, MODIFIED, "", "", False),
            (ETAG, MODIFIED, ETAG, "", True),
            (ETAG, MODIFIED, f"W/{ETAG}", "", True),
            (f"W/{ETAG}", "", ETAG, "", True),
            (ETAG, "", f'"x", {ETAG}', "", True),
            (ETAG, "", '"a,b", "abc"', "", True),
            (ETAG, "", '"xabc"', "", False),
            (ETAG, "", "abc", "", False),
            (ETAG, "", "*", "", True),
            ("", "", '""', "", False),
            (ETAG, MODIFIED, "", MODIFIED, True),
            (ETAG, MODIFIED, "", LATER, True),
            (ETAG, MODIFIED, "", EARLIER, False),
            (ETAG, MODIFIED, "", "yesterday", False),
            (ETAG, "", "", LATER, False),
            (ETAG, "yesterday", "", LATER, False),
            # A tag decides alone (RFC 9110 §13.2.2).
            (ETAG, MODIFIED, '"x"', LATER, False),
            (ETAG, MODIFIED, ETAG, EARLIER, True),
        ],
    )
    def test_tell_what_a_tool_has(
        self, etag: str, modified: str, if_none_match: str, if_modified_since: str, unchanged: bool
    ) -> None:
        validators = Validators(etag, modified)
        assert validators.is_unchanged(if_none_match, if_modified_since) is unchanged

    @pytest.mark.parametrize(
        ("etag", "modified", "if_range", "allowed"),
        [
            (ETAG, MODIFIED, "", True),
            (ETAG, MODIFIED, ETAG, True),
            (ETAG, MODIFIED, '"x"', False),
            (ETAG, MODIFIED, f"W/{ETAG}", False),
            (f"W/{ETAG}", MODIFIED, f"W/{ETAG}", False),
            (f"W/{ETAG}", MODIFIED, ETAG, False),
            (ETAG, MODIFIED, MODIFIED, True),
            (ETAG, MODIFIED, LATER, False),
            (ETAG, MODIFIED, EARLIER, False),
            (ETAG, "", MODIFIED, False),
            (ETAG, "x", "x", False),
        ],
    )
    def test_tell_whether_a_part_continues_what_a_tool_has(
        self, etag: str, modified: str, if_range: str, allowed: bool
    ) -> None:
        assert Validators(etag, modified).allow_range(if_range) is allowed

    @pytest.mark.parametrize(
        ("etag", "modified", "date", "condition"),
        [
            (ETAG, MODIFIED, "", ETAG),
            (ETAG, "", "", ETAG),
            (f"W/{ETAG}", MODIFIED, "Mon, 06 Jul 2026 12:00:00 GMT", ""),
            ("", MODIFIED, "Mon, 06 Jul 2026 10:01:00 GMT", MODIFIED),
            ("", MODIFIED, "Mon, 06 Jul 2026 10:00:59 GMT", ""),
            ("", MODIFIED, "Mon, 06 Jul 2026 09:00:00 GMT", ""),
            ("", MODIFIED, "", ""),
            ("", "", "Mon, 06 Jul 2026 10:01:00 GMT", ""),
            ("", "soon", "Mon, 06 Jul 2026 10:01:00 GMT", ""),
        ],
    )
    def test_are_strong_enough_to_resume_by(
        self, etag: str, modified: str, date: str, condition: str
    ) -> None:
        assert Validators(etag, modified).for_if_range(date) == condition


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depot]:
    """Give a gateway with a file in its cache."""
    file = File(CONTENT, etag=ETAG, last_modified=MODIFIED)
    with depot(tmp_path_factory.mktemp("ranges"), {PATH: file}) as site:
        assert site.get().content == CONTENT
        site.settle()
        yield site
        assert len(site.upstream.requests) == 1, "all of it came from the cache"


class TestACachedFile:
    @pytest.mark.parametrize(
        ("wanted", "part"),
        [
            ("bytes=0-0", slice(0, 1)),
            ("bytes=500000-", slice(500_000, None)),
            ("bytes=-22", slice(-22, None)),
            (f"bytes=100-{SIZE * 2}", slice(100, None)),
            ("bytes=0-", slice(0, None)),
        ],
    )
    def test_comes_in_part(self, site: Depot, wanted: str, part: slice) -> None:
        answer = site.get(range=wanted)
        start, stop, _ = part.indices(SIZE)
        assert (answer.status_code, answer.content) == (206, CONTENT[part])
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
        assert answer.headers["content-length"] == str(stop - start)
        assert answer.headers["etag"] == ETAG
        assert answer.headers["content-type"] == "application/zip"

    def test_comes_in_several_parts(self, site: Depot) -> None:
        answer = site.get(range="bytes=0-99,500000-600000,-7")
        assert answer.status_code == 206
        assert answer.headers["content-length"] == str(len(answer.content))
        assert "content-range" not in answer.headers
        head = f"content-type: {answer.headers['content-type']}\r\n\r\n".encode()
        message = email.message_from_bytes(head + answer.content, policy=email.policy.HTTP)
        parts = list(message.iter_parts())  # type: ignore[attr-defined]
        assert [part["content-range"] for part in parts] == [
            f"bytes 0-99/{SIZE}", f"bytes 500000-600000/{SIZE}",
            f"bytes {SIZE - 7}-{SIZE - 1}/{SIZE}",
        ]  # fmt: skip
        assert {part.get_content_type() for part in parts} == {"application/zip"}
        for part in (CONTENT[:100], CONTENT[500_000:600_001], CONTENT[-7:]):
            assert b"\r\n\r\n" + part + b"\r\n--" in answer.content

    def test_comes_in_the_one_part_that_is_there(self, site: Depot) -> None:
        answer = site.get(range=f"bytes={SIZE}-,0-9")
        assert (answer.status_code, answer.content) == (206, CONTENT[:10])
        assert answer.headers["content-range"] == f"bytes 0-9/{SIZE}"

    @pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", "bytes=-0"])
    def test_has_nothing_outside_of_itself(self, site: Depot, wanted: str) -> None:
        answer = site.get(range=wanted)
        assert (answer.status_code, answer.content) == (416, b"")
        assert answer.headers["content-range"] == f"bytes */{SIZE}"

    @pytest.mark.parametrize("wanted", ["bytes=x", "lines=0-9", "bytes=0-9,5-19", "bytes=9-0"])
    def test_comes_whole_where_the_range_is_ignored(self, site: Depot, wanted: str) -> None:
        answer = site.get(range=wanted)
        assert (answer.status_code, answer.content) == (200, CONTENT)

    @pytest.mark.parametrize(
        ("condition", "status"), [(ETAG, 206), (MODIFIED, 206), ('"x"', 200), (LATER, 200)]
    )
    def test_comes_in_part_only_to_whoever_has_the_rest_of_it(
        self, site: Depot, condition: str, status: int
    ) -> None:
        answer = site.get(range="bytes=0-9", if_range=condition)
        assert answer.status_code == status
        assert len(answer.content) == (10 if status == 206 else SIZE)

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize(
        "condition", [{"if_none_match": ETAG}, {"if_modified_since": MODIFIED}]
    )
    def test_does_not_come_to_whoever_has_it(
        self, site: Depot, method: str, condition: dict[str, str]
    ) -> None:
        answer = site.get(method=method, range="bytes=0-9", **condition)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == ETAG
        assert "content-length" not in answer.headers
        assert "content-type" not in answer.headers

    def test_has_a_head(self, site: Depot) -> None:
        answer = site.get(method="HEAD", range="bytes=0-9")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == str(SIZE)
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["last-modified"] == MODIFIED

    def test_is_put_together_from_parts_at_random(self, site: Depot) -> None:
        choose = random.Random(7)
        cuts = sorted({0, SIZE, *(choose.randrange(SIZE) for _ in range(12))})
        parts = [
            site.get(range=f"bytes={first}-{after - 1}", if_range=ETAG).content
            for first, after in pairwise(cuts)
        ]
        assert sha256(b"".join(parts)) == sha256(CONTENT)


def test_a_file_without_a_validator_gets_ours_once_its_bytes_are_known(tmp_path: Path) -> None:
    with depot(tmp_path, {PATH: File(CONTENT)}) as site:
        assert "etag" not in site.get().headers
        site.settle()
        assert site.get().headers["etag"] == f'"{sha256(CONTENT)}"'
        assert site.get(if_none_match=f'"{sha256(CONTENT)}"').status_code == 304


def test_what_is_not_in_the_cache_is_asked_of_the_index_as_it_is(tmp_path: Path) -> None:
    file = File(CONTENT, etag=ETAG, ranges=True)
    with depot(tmp_path, {PATH: file}) as site:
        answer = site.get(range="bytes=999990-", if_range=ETAG)
        assert (answer.status_code, answer.content) == (206, CONTENT[-10:])
        (asked,) = site.asked()
        assert (asked["range"], asked["if-range"]) == ("bytes=999990-", ETAG)
        site.settle()
        assert (site.spools(), site.cached()) == ([], []), "a part is not the file"
        assert site.provenance.sha256(site.url()) is None


def test_an_index_that_says_you_have_it_is_believed(tmp_path: Path) -> None:
    answer = whole(304, b"", "application/zip", etag=ETAG)
    with depot(tmp_path, {PATH: answer}) as site:
        got = site.get(if_none_match=ETAG)
        assert (got.status_code, got.content, got.headers["etag"]) == (304, b"", ETAG)
        assert got.headers.keys() <= {"etag", "date"}


def test_dates_are_written_as_servers_write_them() -> None:
    assert http_date(1_783_332_000) == MODIFIED
