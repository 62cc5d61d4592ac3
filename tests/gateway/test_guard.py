"""Who may use the gateway: this user's tools, and nobody else."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from gateway.upstream import ask, send_raw

from crane_core.gateway.guard import Guard, loopback_hosts
from crane_core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.conftest import Site
    from gateway.harness import Gate

SECRET = "correct horse"
FETCH = """
import encodings.idna, http.client, os, sys
if int(sys.argv[2]):
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=10)
connection.request("GET", "/-/health")
answer = connection.getresponse()
print(answer.status, answer.reason)
"""


@pytest.fixture(scope="module")
def locked(site: Site) -> Iterator[Gate]:
    """Give a gateway that asks for a secret."""
    with site.home.serve(
        site.index, guard=lambda port: Guard(loopback_hosts("127.0.0.1", port), Secret(SECRET))
    ) as gate:
        yield gate


def basic(password: str, user: str = "crane") -> str:
    """Return the header that pip and uv send for credentials in a URL."""
    value = base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"authorization: Basic {value}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_the_names_of_this_machine_are_served(site: Site, host: str) -> None:
    assert ask(site.gate, host=f"{host}:{site.gate.port}").status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{port}", "127.0.0.1.evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "",
        "[::1]", "localhost.:{port}", "127.1:{port}", "0.0.0.0:{port}", "2130706433:{port}",
        "evil.example@127.0.0.1:{port}", "127.0.0.1:{port}:80", "127.0.0.1:{port} evil.example",
        "127.0.0.1:{port},evil.example",
    ],
)  # fmt: skip
def test_any_other_host_is_refused(site: Site, host: str) -> None:
    """A name of somebody else's that resolves here would let a web page in (DNS rebinding)."""
    given = host.format(port=site.gate.port)
    answer = send_raw(
        site.gate, f"GET /-/health HTTP/1.1\r\nhost: {given}\r\nconnection: close\r\n\r\n".encode()
    )
    assert answer.status in {400, 403, 421}
    assert b"crane" not in answer.body or answer.status == 421


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_missing_host_is_refused(site: Site, version: str) -> None:
    request = f"GET /-/health HTTP/{version}\r\nconnection: close\r\n\r\n"
    assert send_raw(site.gate, request.encode()).status in {400, 421}


def test_two_hosts_are_refused(site: Site) -> None:
    assert ask(site.gate, "/-/health", "host: evil.example").status == 400


@pytest.mark.parametrize(
    "header",
    [
        "origin: https://evil.example", "origin: null", "origin: http://127.0.0.1:{port}",
        "sec-fetch-site: cross-site", "sec-fetch-site: same-site", "sec-fetch-site: Cross-Site",
        "Sec-Fetch-Site: other",
    ],
)  # fmt: skip
def test_a_request_from_a_web_page_is_refused(site: Site, header: str) -> None:
    before = len(site.world.crane.requests)
    answer = ask(site.gate, "/python/simple/any-lib/", header.format(port=site.gate.port))
    assert answer.status == 403
    assert "web pages" in answer.status_line
    assert len(site.world.crane.requests) == before


def test_a_person_who_typed_the_address_is_served(site: Site) -> None:
    assert ask(site.gate, "/-/health", "sec-fetch-site: none").status == 200


@pytest.mark.parametrize("path", ["/-/health", "/python/simple/", "/nothing", "/python/simple/A/"])
@pytest.mark.parametrize("header", ["accept: */*", "origin: https://evil.example"])
def test_no_answer_has_a_cors_header(site: Site, path: str, header: str) -> None:
    assert "access-control" not in ask(site.gate, path, header).head.lower()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_methods_that_could_change_something_are_refused(site: Site, method: str) -> None:
    before = len(site.world.crane.requests)
    answer = ask(site.gate, "/python/simple/any-lib/", "content-length: 0", method=method)
    assert answer.status in {400, 405}
    assert "access-control" not in answer.head.lower()
    assert len(site.world.crane.requests) == before


@pytest.mark.parametrize("target", ["127.0.0.1:{port}", "evil.example:443"])
def test_connect_is_refused(site: Site, target: str) -> None:
    answer = ask(site.gate, target.format(port=site.gate.port), method="CONNECT")
    assert answer.status in {400, 405}


@pytest.mark.parametrize(
    "target",
    ["http://evil.example/", "http://127.0.0.1:{port}/-/health", "//evil.example/x", "*"],
)
def test_the_gateway_is_no_open_proxy(site: Site, target: str) -> None:
    answer = ask(site.gate, target.format(port=site.gate.port))
    assert answer.status in {400, 404}


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (basic("wrong"),),
        (basic(""),),
        (basic("", user=SECRET),),
        (basic(SECRET + "x"),),
        ("authorization: Bearer correct horse",),
        ("authorization: Basic !!!",),
        ("authorization: Basic",),
        (basic(SECRET), basic("wrong")),
    ],
)
def test_a_missing_or_wrong_secret_is_403_and_never_401(
    site: Site, locked: Gate, headers: tuple[str, ...]
) -> None:
    """A 401 would make tools ask the person for a password that does not exist."""
    before = len(site.world.crane.requests)
    answer = ask(locked, "/python/simple/any-lib/", *headers)
    assert answer.status in {403, 400 if len(headers) == 2 else 403}
    assert "www-authenticate" not in answer.head.lower()
    assert SECRET.encode() not in answer.data
    assert len(site.world.crane.requests) == before


def test_the_right_secret_opens_pages_and_files(site: Site, locked: Gate) -> None:
    site.world.add_private("locked-lib")
    assert ask(locked, "/python/simple/locked-lib/", basic(SECRET)).status == 200
    path = "/python/files/python/locked-lib/locked_lib-1.0-py3-none-any.whl"
    assert ask(locked, path, basic(SECRET, user="anybody")).status == 200
    assert ask(locked, path).status == 403


def test_without_the_secret_all_that_is_said_is_that_crane_listens_here(
    site: Site, locked: Gate
) -> None:
    """Another crane, which finds the port taken, says so; a web page does not learn even that."""
    said = json.loads(ask(locked, "/-/health").body)
    assert set(said) == {"service", "version"}
    assert ask(locked, "/-/health", "origin: https://evil.example").status == 403
    assert ask(locked, "/-/health", host="evil.example").status == 421
    assert ask(locked, "/-/health/../python/simple/").status in {403, 404}


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs another user")
class TestAnotherUserOfThisMachine:
    """Linux tells to whom the other end of a connection belongs."""

    @pytest.mark.parametrize("uid", [0, 65534])
    def test_is_refused_while_ones_own_processes_are_served(self, site: Site, uid: int) -> None:
        with site.home.serve(
            site.index,
            guard=lambda port: Guard(loopback_hosts("127.0.0.1", port), None, frozenset({0})),
        ) as gate:
            done = subprocess.run(
                [sys.executable, "-c", FETCH, str(gate.port), str(uid)],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        expected = "200 OK" if uid == 0 else "403 crane: this crane process belongs to another user"
        assert done.stdout.partition(" (request")[0].strip() == expected, done.stderr
