"""Bodies flow: no file waits for its end, and one tool's end is no other's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2
import pytest
from gateway.harness import Gate, Home, index_of
from gateway.upstream import SECONDS, Flood, Scripted, Tap, whole

from crane_devserver import serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.world import World

FILE = "/python/lib/lib-1.0-py3-none-any.whl"
PART = b"0123456789" * 20_000


@contextmanager
def gateway_before(world: World, home: Home, upstream: Scripted) -> Iterator[Gate]:
    """Serve an index that the test has written."""
    with serve_in_thread(upstream) as url:
        index = index_of(world, url=f"{url}/python")
        home.login(index)
        with home.serve(index) as gate:
            yield gate


@pytest.mark.parametrize("sized", [True, False])
def test_the_first_bytes_arrive_before_the_index_has_sent_the_last(
    world: World, home: Home, sized: bool
) -> None:
    tap = Tap(PART, PART, sized=sized)
    # Two chunks and a half, since the gateway holds one back until the hash is known.
    tap.first = PART * 2
    with (
        gateway_before(world, home, Scripted({FILE: tap})) as gate,
        gate.http.stream("GET", f"{gate.url}/python/files{FILE}") as answer,
    ):
        arriving = answer.iter_raw()
        received = next(arriving)
        assert received
        assert not tap.opened.is_set()
        tap.opened.set()
        received += b"".join(arriving)

    assert received == PART * 3


def test_a_tool_that_leaves_midway_disturbs_nobody_else(world: World, home: Home) -> None:
    tap, other = Tap(PART * 2, PART), Tap(PART * 2, PART)
    routes = {FILE: tap, "/python/lib/lib-2.0-py3-none-any.whl": other}
    with gateway_before(world, home, Scripted(routes)) as gate:
        second = f"{gate.url}/python/files/python/lib/lib-2.0-py3-none-any.whl"
        with gate.http.stream("GET", second) as staying:
            arriving = staying.iter_raw()
            received = next(arriving)
            with (
                httpx2.Client(trust_env=False) as leaving,
                leaving.stream("GET", f"{gate.url}/python/files{FILE}") as answer,
            ):
                assert next(answer.iter_raw())
            tap.opened.set()
            other.opened.set()
            received += b"".join(arriving)
        assert received == PART * 3
        assert gate.get("/-/health").status_code == 200


def test_two_tools_that_fetch_one_file_at_once_both_get_it_whole(world: World, home: Home) -> None:
    tap = Tap(PART, PART)
    with (
        gateway_before(world, home, Scripted({FILE: tap})) as gate,
        ThreadPoolExecutor(4) as threads,
    ):
        answers = [threads.submit(gate.get, f"/python/files{FILE}") for _ in range(4)]
        tap.opened.set()
        assert {answer.result(SECONDS).content for answer in answers} == {PART * 2}


def test_a_tool_that_leaves_ends_the_download_from_the_index(world: World, home: Home) -> None:
    """Or a download that was given up would go on, to its end, for nobody."""
    flood = Flood()
    with gateway_before(world, home, Scripted({FILE: flood})) as gate:
        with (
            httpx2.Client(trust_env=False) as leaving,
            leaving.stream("GET", f"{gate.url}/python/files{FILE}") as answer,
        ):
            assert next(answer.iter_raw())
        assert flood.left.wait(5), "the gateway still reads"


def test_long_downloads_keep_no_page_waiting(world: World, home: Home) -> None:
    taps = {f"/python/lib/lib-{n}.0-py3-none-any.whl": Tap(PART, PART) for n in range(40)}
    page = whole(200, b"<a href='/python/lib/lib-1.0-py3-none-any.whl'>lib</a>")
    upstream = Scripted({**taps, "/python/lib/": page})
    with gateway_before(world, home, upstream) as gate, ThreadPoolExecutor(40) as threads:
        running = [threads.submit(gate.get, f"/python/files{path}") for path in taps]
        try:
            assert gate.names("lib") == ["lib-1.0-py3-none-any.whl"]
            assert not any(download.done() for download in running)
        finally:
            for tap in taps.values():
                tap.opened.set()
        assert all(download.result(SECONDS).content == PART * 2 for download in running)


def test_the_gateway_ends_with_a_stream_open(world: World, home: Home) -> None:
    flood = Flood()
    with gateway_before(world, home, Scripted({FILE: flood})) as gate:
        request = gate.http.build_request("GET", f"{gate.url}/python/files{FILE}")
        arriving = gate.http.send(request, stream=True).iter_raw()
        assert next(arriving)
        # Read on meanwhile, as a tool does; the gateway ends below.
        with ThreadPoolExecutor(1) as reader:
            rest = reader.submit(lambda: sum(len(chunk) for chunk in arriving))
            gate.stop()
            with pytest.raises(httpx2.HTTPError):
                rest.result(SECONDS)
