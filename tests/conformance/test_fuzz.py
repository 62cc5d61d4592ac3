"""Any bytes at the gateway's door: an answer that HTTP allows or a closed door, soon, and no 500.

There is no OpenAPI schema to generate requests from (the interface is the simple API), so
hypothesis writes them. The examples are the same each time, so that CI is steady; for a long
run: CRANE_FUZZ=20000 pytest tests/conformance/test_fuzz.py
"""

from __future__ import annotations

import os
import re
import socket
import time

import pytest
from conformance.front import HTML, JSON, Front
from conformance.lint import lint_raw
from conformance.origin import File
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = [
    # One worker, so that the last test looks at the gateway that the others spoke to.
    pytest.mark.xdist_group("fuzz"),
    # That gateway runs in a thread beside hypothesis and draws its requests' ids meanwhile.
    pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies"),
]
EXAMPLES = int(os.environ.get("CRANE_FUZZ", "1000"))
SECONDS = 30.0  # a busy machine holds a process up for some of them; a hang is for ever
# 500 and 503 would be ours by accident; 501 and 505 are no answers of ours either.
STATUSES = {200, 206, 301, 304, 400, 403, 404, 405, 416, 421, 502, 504}
PAGE = '<a href="/files/fuzz-1.0-py3-none-any.whl" data-core-metadata>x</a>'
PATHS = (
    "/", "/-/", "/-/health", "/-/metrics", "/python/simple/", "/python/simple/{name}/",
    "/python/simple/{name}", "/simple/{name}/", "/{name}/", "/python/simple/No_Such.Thing/",
    "/python/files/files/fuzz-1.0-py3-none-any.whl", "/python/files/no/such-1.0.whl",
    "/python/files/files/fuzz-1.0-py3-none-any.whl.metadata", "/python/files/", "/other/simple/x/",
)  # fmt: skip
PIECES = st.sampled_from(
    ["/", "//", "..", ".", "%2e%2e", "%2f", "%00", "%ff", "%", "%zz", "?", "#", "&", "=", ";", "@",
     ":", "\\", "a", "simple", "files", "python", "-", "é", "\x7f", "http://evil.example/", "*",
     "A" * 300, "%0d%0a", "+", "[", "{", "$", "|"]
)  # fmt: skip
TOKENS = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=30)
VALUES = st.sampled_from(
    ["", "*", "bytes=0-3", "bytes=-1", "bytes=9-1", "bytes=0-1,2-3,5-", "bytes=99999999999999-",
     "bytes=" + ",".join(f"{n}-{n}" for n in range(200)), '"x"', 'W/"x"', "x", "close",
     "keep-alive", "upgrade", "100-continue", "chunked", "identity", "0", "4", "-1", "9" * 30,
     "gzip;q=0", "*/*",
     JSON, HTML, "a/b;q=x", "Mon, 01 Jan 2024 00:00:00 GMT", "Mon, 99 Foo", "Basic eDp5", "Basic =",
     "null", "http://evil.example", "cross-site", "none", "websocket", "pip/26.3 {}",
     'pip/26.3 {"a":' + "[" * 500, "uv/0.13.9 {}", "\x80\xff", "a" * 5000]
)  # fmt: skip
NAMES = st.sampled_from(
    ["Accept", "Accept-Encoding", "Authorization", "Connection", "Content-Length", "Cookie",
     "Expect", "Host", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "Origin",
     "Range", "Sec-Fetch-Site", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent",
     "Sec-WebSocket-Key", "HTTP2-Settings", "X-Forwarded-Host", "X"]
)  # fmt: skip
METHODS = st.sampled_from(
    ["GET"] * 8 + ["HEAD", "HEAD", "POST", "PUT", "OPTIONS", "DELETE", "CONNECT", "TRACE", "BREW"]
)


@st.composite
def requests(draw: st.DrawFn) -> str:
    """Return a whole head, most of which could be a tool's."""
    path = draw(st.sampled_from(PATHS))
    if draw(st.booleans()):
        path += "".join(draw(st.lists(PIECES, max_size=5)))
    method = draw(METHODS)
    version = draw(st.sampled_from(["HTTP/1.1"] * 9 + ["HTTP/1.0", "HTTP/2.0", "HTTP/9", ""]))
    fields = draw(st.lists(st.tuples(NAMES | TOKENS, VALUES | TOKENS), max_size=5))
    lines = [f"{method} {path} {version}", *(f"{name}: {value}" for name, value in fields)]
    if draw(st.integers(0, 9)):
        lines.insert(1, "Host: {host}")
    return (
        "\r\n".join(lines) + "\r\n\r\n" + draw(st.sampled_from(["", "", "", "body", "0\r\n\r\n"]))
    )


@pytest.fixture(scope="module")
def name(front: Front) -> str:
    """Give a project with a file and its metadata."""
    front.put("/files/fuzz-1.0-py3-none-any.whl", File(b"0123456789" * 100))
    front.put("/files/fuzz-1.0-py3-none-any.whl.metadata", b"Metadata-Version: 2.1\nName: fuzz\n")
    return front.add(PAGE)


def answer_to(front: Front, data: bytes) -> tuple[bytes, bool]:
    """Send bytes and nothing after them; return what comes back, and whether that was all.

    It is all once an answer is complete, or the gateway has closed the connection.
    """
    received, end = bytearray(), time.monotonic() + SECONDS
    with socket.create_connection(("127.0.0.1", front.gate.port), timeout=SECONDS) as connection:
        try:
            connection.sendall(data)
            while time.monotonic() < end:
                connection.settimeout(max(end - time.monotonic(), 0.01))
                chunk = connection.recv(65536)
                if not chunk:
                    return bytes(received), True
                received += chunk
                if _is_whole(bytes(received), is_head=data.startswith(b"HEAD ")):
                    return bytes(received), True
        except TimeoutError:
            pass
        except ConnectionError:
            return bytes(received), True
    return bytes(received), False


def _is_whole(data: bytes, *, is_head: bool) -> bool:
    """Whether at least one answer is complete."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end or is_head:
        return bool(end)
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    if length is None:
        return data.endswith(b"0\r\n\r\n") or b" 304 " in head[:14]
    return len(body) >= int(length[1])


def check(front: Front, data: bytes) -> None:
    """Send bytes whose head is whole, and look at what they get."""
    answer, done = answer_to(front, data)
    assert done, f"no whole answer in {SECONDS} s, only {answer[:300]!r}"
    if not answer:
        return
    match = re.match(rb"HTTP/1\.1 (\d{3}) [\x20-\x7e]*\r\n", answer)
    assert match, answer[:200]
    status = int(match[1])
    assert status in STATUSES or 100 <= status < 200, answer[:300]
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"\nset-cookie" not in head
    assert b"\naccess-control-allow" not in head
    is_plain = re.match(rb"(GET|HEAD) /[!-~]* HTTP/1\.1\r\n", data) and status not in {206, 400}
    if is_plain and b"chunked" not in head:
        assert not lint_raw(data, answer)


@settings(max_examples=EXAMPLES, derandomize=True, database=None)
@given(request=requests())
def test_a_request_gets_an_answer_that_http_allows(front: Front, name: str, request: str) -> None:
    text = request.replace("{name}", name).replace("{host}", f"127.0.0.1:{front.gate.port}")
    check(front, text.encode("latin-1", "replace"))


@settings(max_examples=EXAMPLES // 5, derandomize=True, database=None)
@given(several=st.lists(requests(), min_size=2, max_size=4))
def test_several_in_one_packet_do_too(front: Front, name: str, several: list[str]) -> None:
    text = "".join(several).replace("{name}", name)
    text = text.replace("{host}", f"127.0.0.1:{front.gate.port}")
    check(front, text.encode("latin-1", "replace"))


@settings(max_examples=EXAMPLES // 5, derandomize=True, database=None)
@given(data=st.binary(min_size=1, max_size=200))
def test_any_bytes_do_too(front: Front, data: bytes) -> None:
    # Not only line ends: who has sent nothing else has not asked yet (RFC 9112 §2.2).
    answer, done = answer_to(front, b"x" + data + b"\r\n\r\n")
    assert done, f"no whole answer in {SECONDS} s to {data!r}"
    assert not answer or int(answer[9:12]) in STATUSES, answer[:300]


def test_afterwards_the_gateway_serves_as_before(front: Front, name: str) -> None:
    """Last in this module; that nothing broke behind the scenes shows here."""
    (file,) = front.get(name).json()["files"]
    assert front.gate.get(file["url"]).content == b"0123456789" * 100
    assert front.gate.get("/-/health").status_code == 200
    problems = [event.problem for event in front.gate.events if "broke" in event.problem]
    assert not problems
