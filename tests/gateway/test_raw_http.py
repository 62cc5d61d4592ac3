"""What the gateway does with the bytes of a request, and how its errors read."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest
from gateway.upstream import ask, get_path_as_it_is, send_raw

from crane_devserver import Fault

if TYPE_CHECKING:
    from gateway.conftest import Site

PIP = "user-agent: pip/26.3 {}"
MEBIBYTE = 1 << 20


def host(site: Site) -> str:
    return f"host: 127.0.0.1:{site.gate.port}"


@pytest.mark.parametrize(
    "framing",
    [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
        "content-length: 4\r\ncontent-length: 5",
        "content-length: -1",
        "content-length: 4, 5",
        "transfer-encoding: chunked, identity",
        "transfer-encoding : chunked",
        "bad header",
        "x: a\x00b",
    ],
)
def test_a_request_of_two_meanings_is_refused_and_nothing_behind_it_is_served(
    site: Site, framing: str
) -> None:
    request = (
        f"GET /-/health HTTP/1.1\r\n{host(site)}\r\n{framing}\r\n\r\n"
        f"0\r\n\r\nGET /python/simple/smuggled/ HTTP/1.1\r\n{host(site)}\r\n"
        "connection: close\r\n\r\n"
    )
    answer = send_raw(site.gate, request.encode("latin-1"))
    assert answer.status in {0, 400}
    assert answer.data.count(b"HTTP/1.1 ") <= 1
    assert not any("smuggled" in r.path for r in site.world.crane.requests)


def test_two_requests_in_one_packet_get_two_answers_in_order(site: Site) -> None:
    first = f"GET /-/health HTTP/1.1\r\n{host(site)}\r\n\r\n"
    second = f"GET /x/y/z HTTP/1.1\r\n{host(site)}\r\nconnection: close\r\n\r\n"
    answer = send_raw(site.gate, (first + second).encode())
    assert [int(s) for s in re.findall(rb"HTTP/1\.1 (\d+)", answer.data)] == [200, 404]


def test_an_answer_comes_in_one_piece(site: Site) -> None:
    """Not its head by itself, which would be another packet, and another wake-up of the tool."""
    request = f"GET /-/health HTTP/1.1\r\n{host(site)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", site.gate.port)) as connection:
        for _ in range(50):
            connection.sendall(request)
            assert connection.recv(1 << 16).endswith(b"}\n")


@pytest.mark.parametrize(
    "path",
    [
        "/python/simple/A%0d%0aset-cookie:%20a=b",
        "/python/simple/A%0d%0a%0d%0ahello",
        "/simple/A%0aset-cookie:%20a=b/",
        "/A%0d%0aset-cookie:%20a=b/",
        "/python/files/python/a%0d%0aset-cookie:%20a=b/x.whl",
        "/%0d%0aset-cookie:%20a=b/x/y",
    ],
)
def test_line_ends_in_a_path_never_become_lines_of_an_answer(site: Site, path: str) -> None:
    answer = ask(site.gate, path)
    lines = answer.data.decode("latin-1").lower().split("\r\n")
    assert not any(line.startswith(("set-cookie", "hello")) for line in lines)
    assert answer.status in {400, 403, 404, 504}


@pytest.mark.parametrize(
    "path",
    [
        "/python/%66iles/python/x.whl",
        "/python/files/python/%ff.whl",
        "/python/files/",
        "/python/files/python/",
        "/python/files@evil.example/x.whl",
        "/python/files.evil.example/x.whl",
        "/python/%66iles/files@evil.example/python/x.whl",
        "/python/%66iles/files.evil.example/python/x.whl",
        "/python/%66iles/files:1/python/x.whl",
        "/python/simplex/some-lib/",
        "/python/simple/some-lib/x/",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/-/other",
        "/\x80/x/y",
    ],
)
def test_a_path_that_is_none_of_ours_is_refused_with_a_reason_and_never_breaks_the_gateway(
    site: Site, path: str
) -> None:
    before = len(site.world.crane.requests)
    answer = ask(site.gate, path)
    assert answer.status in {400, 403, 404}
    if answer.status in {403, 404}:
        assert answer.status_line.split(" ", 2)[2].startswith("crane: ")
    asked = [r.path for r in site.world.crane.requests[before:]]
    assert all(p.startswith("/python/") for p in asked)


def test_a_head_of_many_mebibytes_is_refused_long_before_its_end(site: Site) -> None:
    """Any process that reaches the port could else fill this user's memory."""
    with socket.create_connection(("127.0.0.1", site.gate.port), timeout=10) as connection:
        connection.sendall(f"GET /-/health HTTP/1.1\r\n{host(site)}\r\nx: ".encode())
        sent = 0
        try:
            while sent < 32 * MEBIBYTE:
                connection.sendall(b"a" * MEBIBYTE)
                sent += MEBIBYTE
            connection.sendall(b"\r\nconnection: close\r\n\r\n")
            status = connection.recv(65536).split(b" ", 2)[1]
        except (ConnectionError, IndexError):
            status = b"closed"
    assert status in {b"closed", b"400", b"431"}


class TestTheReasonOfAnError:
    """Tools show the status line's reason phrase to the person, and little else."""

    def error(self, site: Site, name: str, fault: Fault, *headers: str) -> bytes:
        with site.world.crane.faults.during(fault):
            return ask(site.gate, f"/python/simple/{name}/", *headers).data

    @pytest.mark.parametrize(("upstream", "status"), [(403, 403), (503, 504), (400, 502)])
    def test_stands_in_the_status_line_and_in_the_body(
        self, site: Site, upstream: int, status: int
    ) -> None:
        data = self.error(site, "why", Fault("/python/why/", status=upstream))
        head, _, body = data.partition(b"\r\n\r\n")
        reason = head.split(b"\r\n")[0].removeprefix(f"HTTP/1.1 {status} ".encode())
        assert reason.startswith(b"crane: ")
        assert f"HTTP {upstream}".encode() in reason
        assert body == reason + b"\n"
        assert b"cache-control: no-store" in head.lower()

    def test_of_a_missing_project_stands_there_too(self, site: Site) -> None:
        answer = ask(site.gate, "/python/simple/nobody-has-this/")
        assert answer.status_line.startswith("HTTP/1.1 404 crane: ")
        assert "nobody-has-this" in answer.status_line

    def test_is_ascii_and_one_line_whatever_it_quotes(self, site: Site) -> None:
        fault = Fault(
            "/python/why-not/",
            status=200,
            headers=(("content-type", "application/vnd.pypi.simple.v1+json"),),
            body='{"meta":{"api-version":"9é\\n\\u20ac\\r\\nset-cookie: x"},"files":[]}',
        )
        data = self.error(site, "why-not", fault)
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.isascii()
        assert body.isascii()
        assert b"\nset-cookie" not in data
        assert data.startswith(b"HTTP/1.1 502 crane: ")

    def test_is_the_next_answers_own_on_the_same_connection(self, site: Site) -> None:
        first = f"GET /x/y/z HTTP/1.1\r\n{host(site)}\r\n\r\n"
        second = f"GET /-/health HTTP/1.1\r\n{host(site)}\r\nconnection: close\r\n\r\n"
        data = send_raw(site.gate, (first + second).encode()).data
        assert re.findall(rb"HTTP/1\.1 (\d+ \w+)", data) == [b"404 crane", b"200 OK"]

    def test_has_no_body_for_head(self, site: Site) -> None:
        answer = ask(site.gate, "/x/y/z", method="HEAD")
        assert (answer.status, answer.body) == (404, b"")

    def test_breaks_a_page_off_for_pip_which_would_pass_over_an_error_in_silence(
        self, site: Site
    ) -> None:
        data = self.error(site, "for-pip", Fault("/python/for-pip/", status=403), PIP.format("{}"))
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"transfer-encoding: chunked" in head
        # RFC 9110 §6.6.1: an origin server with a clock MUST send one.
        assert re.search(rb"\r\ndate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", head)
        first_line, end, rest = body.partition(b"\r\n")
        assert first_line.startswith(b"crane: ")
        assert b"HTTP 403" in first_line
        assert (end, rest) == (b"\r\n", b""), "nothing may follow, no second answer either"
        assert not re.fullmatch(rb"[0-9a-fA-F]+(;.*)?", first_line), "it is no chunk size"

    @pytest.mark.parametrize("what", ["base", "location"])
    def test_breaks_a_page_off_for_pip_where_the_index_sends_nonsense(
        self, site: Site, what: str
    ) -> None:
        faults = {
            "base": Fault(
                "/python/nonsense/",
                status=200,
                headers=(("content-type", "text/html"),),
                body='<base href="http://[::1"><a href="nonsense-1.0.tar.gz">x</a>',
            ),
            "location": Fault(
                "/python/nonsense/", status=302, headers=(("location", "http://[::1"),)
            ),
        }
        data = self.error(site, "nonsense", faults[what], PIP.format("{}"))
        assert b"\r\n\r\ncrane: " in data

    def test_of_a_true_404_is_a_404_for_pip_as_well(self, site: Site) -> None:
        answer = ask(site.gate, "/python/simple/nobody-has-this/", PIP.format("{}"))
        assert answer.status == 404


def test_a_gateway_with_an_index_whose_name_starts_like_a_path_of_ours_serves_its_files(
    site: Site,
) -> None:
    from gateway.harness import index_of

    site.world.add_private("named-lib")
    index = index_of(site.world, name="files-2")
    with site.home.serve(index) as gate:
        (file,) = gate.files("named-lib", "files-2")
        status, _ = get_path_as_it_is(gate, file["url"].removeprefix(gate.url))
    assert status == 200
