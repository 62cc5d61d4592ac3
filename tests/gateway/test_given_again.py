"""Answers given again: only what is fresh, to the same request, of somebody who is logged in."""

from __future__ import annotations

import hashlib
import http.client
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from gateway.harness import Gate, Home, index_of
from gateway.upstream import Scripted, send_raw, whole

from crane_core.auth.model import session_key
from crane_core.cache.clearing import note_clearing
from crane_core.gateway.publications import LOOK_AGAIN
from crane_devserver import serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.world import World

FRESH = "max-age=600"
PAGE = b'<title>Links for lib</title><a href="lib-1.0-py3-none-any.whl#sha256=%s"%s>x</a>'
METADATA = b"Metadata-Version: 2.1\nName: lib\nVersion: 1.0\n"
OF_METADATA = hashlib.sha256(METADATA).hexdigest()
PAGE %= b"0" * 64, f' data-core-metadata="sha256={OF_METADATA}"'.encode()
ROOT = b'<title>Simple index</title><a href="lib/">lib</a>'


@contextmanager
def serving(world: World, home: Home, **headers: str) -> Iterator[tuple[Gate, Scripted]]:
    """Serve an index whose page has these headers, to somebody who is logged in."""
    routes = {
        "/python/simple/": whole(200, ROOT),
        "/python/simple/lib/": whole(200, PAGE, **headers),
        "/python/simple/lib/lib-1.0-py3-none-any.whl": whole(404, b""),
        "/python/simple/lib/lib-1.0-py3-none-any.whl.metadata": whole(200, METADATA),
    }
    index = Scripted(routes)
    with serve_in_thread(index) as url:
        registered = index_of(world, url=f"{url}/python/simple")
        home.login(registered)
        with home.serve(registered) as gate:
            yield gate, index


def kept(gate: Gate) -> closing[http.client.HTTPConnection]:
    """Return a connection for several requests."""
    return closing(http.client.HTTPConnection("127.0.0.1", gate.port))


def asked(index: Scripted) -> int:
    """Count the requests for the page."""
    return sum(path == "/python/simple/lib/" for _, path, _ in index.requests)


def get(
    connection: http.client.HTTPConnection, path: str = "/python/simple/lib/", **headers: str
) -> tuple[int, bytes]:
    """Ask for the page on a connection that is kept."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", path, headers=sent)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_a_fresh_page_is_given_again_without_asking(world: World, home: Home) -> None:
    with (
        serving(world, home, cache_control=FRESH) as (gate, index),
        kept(gate) as connection,
    ):
        first = get(connection)
        assert first[0] == 200
        assert [get(connection) for _ in range(5)] == [first] * 5
        assert asked(index) == 1


@pytest.mark.parametrize("policy", ["no-cache", "no-store", "max-age=0"])
def test_a_page_that_must_be_news_is_asked_for_each_time(
    world: World, home: Home, policy: str
) -> None:
    with serving(world, home, cache_control=policy) as (gate, index), kept(gate) as connection:
        assert [get(connection)[0] for _ in range(3)] == [200] * 3
        assert asked(index) == 3


def test_a_page_that_has_become_old_is_asked_for_again(world: World, home: Home) -> None:
    with (
        serving(world, home, cache_control=FRESH) as (gate, index),
        kept(gate) as connection,
    ):
        assert get(connection) == get(connection)
        home.clock.ahead = 601
        assert get(connection)[0] == 200
        assert asked(index) == 2


def test_after_a_logout_nothing_private_is_given_again(world: World, home: Home) -> None:
    with (
        serving(world, home, cache_control=FRESH) as (gate, index),
        kept(gate) as connection,
    ):
        assert get(connection) == get(connection)
        registered = index_of(world, url=f"{gate_url(index, gate)}")
        home.store().delete(session_key(registered))
        assert get(connection)[0] == 403


@pytest.mark.parametrize("end", ["time", "logout", "login of another", "news"])
def test_metadata_is_given_again_until_something_changes(
    world: World, home: Home, end: str
) -> None:
    path = "/python/files/python/simple/lib/lib-1.0-py3-none-any.whl.metadata"
    with serving(world, home) as (gate, index), kept(gate) as connection:

        def made() -> int:
            return sum(event.kind == "metadata" for event in gate.events)

        assert get(connection)[0] == 200
        assert [get(connection, path) for _ in range(5)] == [(200, METADATA)] * 5
        assert made() == 1
        registered = index_of(world, url=gate_url(index, gate))
        if end == "time":
            home.clock.ahead = 10
        elif end == "logout":
            home.store().delete(session_key(registered))
        elif end == "login of another":
            home.login(registered, "bob")
        else:
            note_clearing(home.paths.cache)
            end_of_look = time.monotonic() + LOOK_AGAIN
            while time.monotonic() < end_of_look:
                get(connection, path)
        assert (get(connection, path)[0] == 200) == (end != "logout")
        assert made() == (1 if end == "logout" else 2)


def gate_url(index: Scripted, gate: Gate) -> str:
    """Return the URL under which the scripted index is registered."""
    (host,) = {headers["host"] for _, _, headers in index.requests}
    return f"http://{host}/python/simple"


def test_what_differs_in_one_byte_is_another_request(world: World, home: Home) -> None:
    """The guard decides about each; an equal request has equal Host, login and origin."""
    with serving(world, home, cache_control=FRESH) as (gate, _), kept(gate) as connection:
        assert get(connection) == get(connection)
        assert get(connection, origin="https://evil.example")[0] == 403
        assert get(connection, sec_fetch_site="cross-site")[0] == 403
        assert get(connection, host="evil.example")[0] == 421


def test_two_requests_in_one_piece_get_two_answers(world: World, home: Home) -> None:
    with serving(world, home, cache_control=FRESH) as (gate, _):
        one = f"GET /python/simple/lib/ HTTP/1.1\r\nhost: 127.0.0.1:{gate.port}\r\n".encode()
        for _ in range(2):
            raw = send_raw(gate, one + b"\r\n" + one + b"connection: close\r\n\r\n")
            assert raw.data.count(b"HTTP/1.1 200 OK\r\n") == 2
            assert raw.data.count(PAGE[:20]) == 2


def test_a_connection_that_is_to_be_closed_is_closed(world: World, home: Home) -> None:
    with serving(world, home, cache_control=FRESH) as (gate, _):
        one = f"GET /python/simple/lib/ HTTP/1.1\r\nhost: 127.0.0.1:{gate.port}\r\n".encode()
        for _ in range(2):
            assert send_raw(gate, one + b"connection: close\r\n\r\n").status == 200
