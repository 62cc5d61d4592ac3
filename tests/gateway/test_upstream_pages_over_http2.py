"""Pages over https: some over HTTP/1.1, all others over one HTTP/2 connection.

There, what is given up harms no other.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from pathlib import Path

import pytest
from gateway.wire import (
    Firm,
    Http2Site,
    fetch,
    index_at,
    listening,
    page,
    reply,
    run,
    say,
    until,
    upstream,
)

from crane_core.errors import IndexBroken, IndexUnreachable
from crane_core.http import TimeLimits

over_http2 = partial(upstream, page_connections=0)


@pytest.fixture
def firm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Firm:
    """Give a private CA that everything here trusts."""
    firm = Firm(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", firm.ca_file)
    return firm


def test_pages_beyond_so_many_at_once_share_one_connection(firm: Firm) -> None:
    """Each of the first ones has its own, which is faster; and leaves it to a later one."""

    async def test() -> None:
        async with (
            Http2Site().serve(firm.server()) as site,
            upstream(page_connections=3) as client,
        ):
            paths = [f"{site.url}/hang/{n}/" for n in range(8)]
            waiting = [asyncio.create_task(page(client, path)) for path in paths]
            await until(lambda: len(site.streams) == 5)
            await until(lambda: sorted(map(str, site.protocols)) == ["h2", *["http/1.1"] * 3])
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            for _ in range(5):
                assert await page(client, f"{site.url}/lib/") == b"/lib/"
            assert len(site.streams) == 5

    run(test())


def test_an_answer_that_is_still_read_counts(firm: Firm) -> None:
    async def test() -> None:
        async with (
            Http2Site().serve(firm.server()) as site,
            upstream(page_connections=1) as client,
            contextlib.AsyncExitStack() as stack,
        ):
            small = partial(client.open, "GET", index=None, headers={}, is_small=True)
            for number in range(3):
                await stack.enter_async_context(small(f"{site.url}/{number}/"))
            assert site.protocols == ["http/1.1", "h2"]

    run(test())


def test_all_pages_of_a_resolver_share_one_connection(firm: Firm) -> None:
    async def test() -> None:
        async with Http2Site().serve(firm.server()) as site, over_http2() as client:
            paths = [f"/{n}/" for n in range(80)]
            bodies = await asyncio.gather(*(page(client, site.url + path) for path in paths))
            assert bodies == [path.encode() for path in paths]
            assert site.protocols == ["h2"]

    run(test())


def test_files_have_connections_of_their_own(firm: Firm) -> None:
    """Over HTTP/1.1, though the server speaks both."""

    async def test() -> None:
        async with Http2Site().serve(firm.server()) as site, over_http2() as client:
            assert await fetch(client, f"{site.url}/a.whl") == b"/a.whl"
            assert site.protocols == ["http/1.1"]

    run(test())


def test_a_server_without_http_2(firm: Firm) -> None:
    """Once it has chosen, its pages come by the faster client."""

    async def test() -> None:
        async with listening(say(reply(b"x")), tls=firm.server()) as site, over_http2() as client:
            for _ in range(2):
                found = await asyncio.gather(*(page(client, f"{site.url}/{n}/") for n in range(20)))
                assert found == [b"x"] * 20
            by_httpx2 = [b"connection: keep-alive" in head.lower() for head in site.requests]
            assert by_httpx2 == [True] * 20 + [False] * 20

    run(test())


def test_a_page_that_is_given_up_harms_no_other(firm: Firm) -> None:
    """Those under way on the same connection still come; later ones have a new one."""

    async def test() -> None:
        async with Http2Site().serve(firm.server()) as site, over_http2() as client:
            hanging = asyncio.create_task(page(client, f"{site.url}/hang/"))
            other = asyncio.create_task(page(client, f"{site.url}/hang/other/"))
            await until(lambda: len(site.streams) == 2)
            hanging.cancel()
            await asyncio.gather(hanging, return_exceptions=True)
            assert await page(client, f"{site.url}/lib/") == b"/lib/"
            assert site.listener.connections == 2
            assert not other.done()
            other.cancel()
            await asyncio.gather(other, return_exceptions=True)

    run(test())


@pytest.mark.parametrize("path", ["hang", "part"])
def test_pages_that_never_end_do_not_use_up_what_the_server_allows(firm: Firm, path: str) -> None:
    """httpcore2 counts each of them as open for ever (httpcore, issue 1022)."""

    async def test() -> None:
        async with (
            Http2Site(most_streams=3).serve(firm.server()) as site,
            over_http2(seconds=0.6) as client,
        ):
            for _ in range(4):
                with pytest.raises(IndexUnreachable, match="did not answer in"):
                    await page(client, f"{site.url}/{path}/")
            assert await page(client, f"{site.url}/lib/") == b"/lib/"

    run(test())


def test_pages_that_are_too_long_do_not_close_the_window_for_others(firm: Firm) -> None:
    """What is not read is never acknowledged: after 16 MiB nothing would come any more."""

    async def test() -> None:
        async with Http2Site().serve(firm.server()) as site, over_http2() as client:
            for _ in range(3):
                with pytest.raises(IndexUnreachable, match="longer than"):
                    await client.page(f"{site.url}/big/", 1000, None)
                async with asyncio.timeout(1):
                    assert await page(client, f"{site.url}/lib/") == b"/lib/"

    run(test())


def test_a_connection_that_fell_silent_is_used_no_more(firm: Firm) -> None:
    """A laptop that slept, a VPN that went: the next page finds it out, and has an answer."""

    async def test() -> None:
        limits = TimeLimits(connect=2, read=0.4, write=2, pool=2)
        async with (
            Http2Site().serve(firm.server()) as site,
            over_http2(limits=limits, seconds=5) as client,
        ):
            assert await page(client, f"{site.url}/lib/") == b"/lib/"
            waiting = asyncio.create_task(page(client, f"{site.url}/hang/"))
            await until(lambda: site.listener.connections == 2)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert await page(client, f"{site.url}/lib/") == b"/lib/"

    run(test())


def test_a_connection_that_the_index_closed_meanwhile_is_no_error(firm: Firm) -> None:
    async def test() -> None:
        async with Http2Site().serve(firm.server()) as site, over_http2() as client:
            for _ in range(3):
                assert await page(client, f"{site.url}/bye/") == b"/bye/"
                await asyncio.sleep(0.05)

    run(test())


def test_control_characters_in_a_header_field_are_an_error(firm: Firm) -> None:
    """HTTP/2 frames carry them, and httpcore2 does not look."""

    async def test() -> None:
        async with Http2Site().serve(firm.server()) as site, over_http2() as client:
            with pytest.raises(IndexBroken, match="control characters"):
                await page(client, f"{site.url}/odd/")

    run(test())


def test_the_token_goes_along(firm: Firm) -> None:
    async def test() -> None:
        async with Http2Site().serve(firm.server()) as site, over_http2() as client:
            index = index_at(site.url)
            assert await page(client, f"{index.url}/lib/", index) == b"/firm/lib/"
            assert site.headers["authorization"] == "Bearer token-1"

    run(test())
