"""What goes over the wire to an index, and what of a bad wire comes back as an error."""

from __future__ import annotations

import asyncio
import gzip
import socket
import subprocess
import sys
import time
import zlib
from contextlib import ExitStack
from pathlib import Path

import pytest
from gateway.wire import (
    LIMITS,
    Reader,
    Writer,
    fetch,
    hang,
    listening,
    page,
    port_of,
    refusing,
    reply,
    run,
    say,
    say_and_close,
    until,
    upstream,
)

from crane_core.errors import IndexBroken, IndexUnreachable
from crane_core.gateway.transports import Transports
from crane_core.gateway.upstream import Upstream
from crane_core.http import NO_SETTINGS, USER_AGENT, StreamError, TimeLimits
from crane_core.urls import origin_of

PAGE = b"<title>Links for lib</title>"


def test_exactly_our_header_fields_are_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No cookie of an earlier answer, no password of `~/.netrc`, nothing of the library's own."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login ada password from-netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))

    async def test() -> None:
        answer = say(reply(PAGE, set_cookie="session=1; path=/"))
        async with listening(answer) as site, upstream() as client:
            # By name: a cookie jar would pass over an address.
            url = f"http://localhost:{site.port}"
            for _ in range(2):
                await fetch(client, f"{url}/a.whl", accept="x/y")
            host = f"Host: localhost:{site.port}"
            assert site.lines[0] == "GET /a.whl HTTP/1.1"
            assert sorted(line.lower() for line in site.lines[1:]) == sorted([
                host.lower(), "accept: x/y", "accept-encoding: identity",
                f"user-agent: {USER_AGENT}",
            ])  # fmt: skip
            await page(client, f"{url}/lib/")
            assert "accept-encoding: gzip" in [line.lower() for line in site.lines]

    run(test())


@pytest.mark.parametrize(
    "path",
    [
        "/a%2Fb", "/a%2fb", "/a%7Eb~c", "/a+b%20c", "//a///b", "/a;b=c", "/a'(b)!*", "/%E4",
        "/a?b=%2f&c=d+e&&", "/a?x=/y?z", "/a|b^c`d", "/{a}", "/a@b:c",
    ],
)  # fmt: skip
@pytest.mark.parametrize("whole", [True, False])
def test_the_url_is_sent_as_it_was_given(path: str, whole: bool) -> None:
    """A signed URL is signed as it is spelled."""

    async def test() -> None:
        async with listening(say(reply(PAGE))) as site, upstream() as client:
            await (page if whole else fetch)(client, site.url + path)
            assert site.targets == [path]

    run(test())


def test_characters_that_no_request_line_may_hold_are_escaped() -> None:
    async def test() -> None:
        async with listening(say(reply(PAGE))) as site, upstream() as client:
            await fetch(client, f"{site.url}/ä?ö=%C3%A4")
            assert site.targets == ["/%C3%A4?%C3%B6=%C3%A4"]

    run(test())


def test_a_file_comes_as_it_was_packed() -> None:
    """Its hash is that of the bytes on the wire."""

    async def test() -> None:
        packed = gzip.compress(b"x" * 1000)
        answer = say(reply(packed, content_encoding="gzip"))
        async with listening(answer) as site, upstream() as client:
            assert await fetch(client, f"{site.url}/a.whl") == packed
            found = await client.page(f"{site.url}/lib/", 1 << 20, None)
            assert (found.body, found.packed) == (b"x" * 1000, packed)

    run(test())


@pytest.mark.parametrize("more", [0, 1 << 20])
def test_a_page_that_comes_packed_as_more_than_it_says_is_kept_as_it_says(more: int) -> None:
    async def test() -> None:
        packed = gzip.compress(b"x") + bytes(more)
        answer = say(reply(packed, content_encoding="gzip"))
        async with listening(answer) as site, upstream() as client:
            found = await client.page(f"{site.url}/lib/", 2 << 20, None)
            assert (found.body, found.packed) == (b"x", b"")

    run(test())


def test_a_page_that_comes_packed_as_more_than_it_says_is_too_long() -> None:
    """It would be kept as it came."""

    async def test() -> None:
        pack = zlib.compressobj(wbits=31)
        start, empty = pack.flush(zlib.Z_FULL_FLUSH), b"\x00\x00\x00\xff\xff"
        packed = start + 500 * empty + pack.compress(b"x") + pack.flush()
        assert (gzip.decompress(packed), len(packed) > 2000) == (b"x", True)
        answer = say(reply(packed, content_encoding="gzip"))
        async with listening(answer) as site, upstream() as client:
            with pytest.raises(IndexUnreachable, match="longer than"):
                await client.page(f"{site.url}/lib/", 2000, None)
            assert (await client.page(f"{site.url}/lib/", 5000, None)).body == b"x"

    run(test())


def test_what_a_page_says_of_itself_and_no_more() -> None:
    async def test() -> None:
        said = {"etag": '"1"', "cache_control": "max-age=9", "vary": "accept", "x_other": "no"}
        unchanged = b'HTTP/1.1 304 X\r\ncontent-length: 28\r\netag: "1"\r\n\r\n'
        async with (
            listening(say(reply(PAGE, content_type="text/html", **said)), say(unchanged)) as site,
            upstream() as client,
        ):
            first = await client.page(f"{site.url}/lib/", 1 << 20, None)
            assert (first.status, first.body, first.content_type) == (200, PAGE, "text/html")
            assert first.headers == {
                "etag": '"1"', "cache-control": "max-age=9", "vary": "accept",
                "content-type": "text/html",
            }  # fmt: skip
            again = {"if-none-match": '"1"'}
            second = await client.page(f"{site.url}/lib/", 1 << 20, None, again)
            assert (second.status, second.body, second.headers["etag"]) == (304, b"", '"1"')
            assert 'if-none-match: "1"' in [line.lower() for line in site.lines]
            assert site.connections == 1

    run(test())


def test_several_fields_of_one_name_count_as_one_list() -> None:
    """The first one alone would hide the second encoding."""

    async def test() -> None:
        twice = reply(PAGE, content_encoding="gzip").replace(
            b"\r\n\r\n", b"\r\nContent-Encoding: br\r\n\r\n"
        )
        async with listening(say(twice)) as site, upstream() as client:
            with pytest.raises(IndexUnreachable, match="gzip, br"):
                await page(client, f"{site.url}/lib/")

    run(test())


@pytest.mark.parametrize(
    "answer",
    [
        reply(PAGE, x_a="a\x01b"),
        reply(PAGE, x_a="a\x7fb"),
        reply(PAGE, x_a="a\x00b"),
        reply(PAGE, x_a="a\rset-cookie: b"),
        reply(PAGE, x_a="a" * 20_000),
        reply(PAGE).replace(b"\r\n\r\n", b"\r\n" + b"x-a: b\r\n" * 200 + b"\r\n"),
        reply(PAGE, transfer_encoding="chunked"),
        b"HTTP/1.1 200 X\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked, gzip\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        reply(PAGE).replace(b"content-length: 28", b"content-length: +28"),
        b"SSH-2.0-OpenSSH_9\r\n",
    ],
    ids=["control", "delete", "null", "bare return", "long", "many", "two lengths", "coded",
         "coded last", "signed length", "no HTTP"],
)  # fmt: skip
@pytest.mark.parametrize("whole", [True, False])
def test_an_answer_that_is_no_sound_http_is_an_error(answer: bytes, whole: bool) -> None:
    """The client's parser is lenient; what it lets pass would reach the tool."""

    async def test() -> None:
        async with listening(say_and_close(answer)) as site, upstream() as client:
            with pytest.raises((IndexBroken, IndexUnreachable)):
                await (page if whole else fetch)(client, f"{site.url}/lib/")

    run(test())


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nabc", b""),
        (CHUNKED, b""),
        (CHUNKED, b"ffff\r\nabc"),
        (CHUNKED, b"this is no chunk\r\n"),
        (CHUNKED, b"5\r\nabcdeXX"),
    ],
    ids=["length", "no last chunk", "within a chunk", "no chunk", "a chunk too long"],
)
def test_a_body_that_is_cut_off_is_an_error_and_no_end(parts: tuple[bytes, ...]) -> None:
    """Nor does its reader wait for ever, as aiohttp would for what is no chunk."""

    received = b""

    async def read(client: Upstream, url: str) -> None:
        nonlocal received
        async with client.open("GET", url, index=None, headers={}) as answer, asyncio.timeout(5):
            async for chunk in answer.aiter_raw():
                received += chunk

    async def test() -> None:
        async with listening(say_and_close(*parts, pause=0.1)) as site, upstream() as client:
            with pytest.raises(StreamError):
                await read(client, f"{site.url}/a")
            assert received.startswith(b"abc")

    run(test())


def test_connections_are_kept() -> None:
    """Also after a redirect, a refusal or a 304 whose small bodies nobody reads."""

    async def test() -> None:
        moved, busy = reply(b"moved", 302, location="/next"), reply(b"later", 503)
        steps = (
            say(moved[:-5], moved[-5:], pause=0.05), say(reply(PAGE)),
            say(busy[:-5], busy[-5:], pause=0.05), say(reply(PAGE)), say(reply(b"", 304)),
            say(reply(PAGE)),
        )  # fmt: skip
        async with listening(*steps) as site, upstream() as client:
            for _ in range(4):
                await fetch(client, f"{site.url}/a")
            assert (len(site.requests), site.connections) == (6, 1)

    run(test())


def test_a_connection_that_the_index_closed_meanwhile_is_no_error() -> None:
    """It may close at the very moment that we ask."""

    async def test() -> None:
        # The first two requests share a connection, which ends instead of the second answer.
        steps = (say(reply(PAGE)), say_and_close(), say(reply(b"again")))
        async with listening(*steps) as site, upstream() as client:
            assert await fetch(client, f"{site.url}/a") == PAGE
            assert await fetch(client, f"{site.url}/a") == b"again"
            assert site.connections == 2

    run(test())


@pytest.mark.parametrize("limited_by", ["connection", "caller"])
def test_connections_to_a_host_that_fell_silent_are_used_no_more(
    limited_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop that slept, a VPN that went: the next page finds it out, and has an answer."""
    monkeypatch.setattr("crane_core.http1.SILENT_SECONDS", 0.1)

    async def test() -> None:
        together, old = asyncio.Barrier(4), set[Writer]()

        async def first(reader: Reader, writer: Writer) -> bool:
            old.add(writer)
            await together.wait()
            return await say(reply(PAGE))(reader, writer)

        async def later(reader: Reader, writer: Writer) -> bool:
            return await (hang if writer in old else say(reply(PAGE)))(reader, writer)

        read = 0.3 if limited_by == "connection" else 60
        limits = TimeLimits(connect=2, read=read, write=2, pool=2)
        async with listening(*[first] * 4, later) as site, upstream(limits=limits) as client:
            await asyncio.gather(*(page(client, f"{site.url}/{n}/") for n in range(4)))
            if limited_by == "caller":
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.3):
                        await page(client, f"{site.url}/lib/")
            assert await page(client, f"{site.url}/lib/") == PAGE
            assert site.connections == 5

    run(test())


def test_an_answer_that_nobody_asked_for_goes_to_nobody() -> None:
    """It would be taken for the answer to the next request (aiohttp, issue 13656)."""

    async def test() -> None:
        push = say(reply(PAGE), reply(b"pushed"), pause=0.1)
        async with listening(push, say(reply(b"right"))) as site, upstream() as client:
            assert await fetch(client, f"{site.url}/a") == PAGE
            await asyncio.sleep(0.3)
            assert await fetch(client, f"{site.url}/b") == b"right"
            assert site.connections == 2

    run(test())


def test_one_slow_host_keeps_no_other_waiting() -> None:
    async def test() -> None:
        async with (
            listening(hang) as slow,
            listening(say(reply(PAGE))) as quick,
            upstream(per_host=64) as client,
        ):
            waiting = [asyncio.create_task(page(client, f"{slow.url}/{n}/")) for n in range(70)]
            await until(lambda: len(slow.requests) >= 64)
            async with asyncio.timeout(1):
                assert await page(client, f"{quick.url}/lib/") == PAGE
            assert len(slow.requests) == 64  # the others wait for their turn
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    run(test())


def test_what_is_opened_before_it_is_needed_is_used() -> None:
    async def test() -> None:
        async with listening(say(reply(PAGE))) as site, Transports(LIMITS, per_host=8) as wires:
            origin = origin_of(site.url)
            for _ in range(2):
                await wires.prepare(origin, NO_SETTINGS, 3)
            wire = await wires.for_stream(origin, NO_SETTINGS)
            answers = [await wire.send("GET", f"{site.url}/a", {}) for _ in range(3)]
            assert site.connections == len(site.requests) == 3
            for answer in answers:
                await answer.aclose()
            with refusing() as held:
                nobody = origin_of(f"http://127.0.0.1:{port_of(held)}")
                with pytest.raises(StreamError):
                    await wires.prepare(nobody, NO_SETTINGS, 3)

    run(test())


@pytest.mark.parametrize("whole", [True, False])
def test_an_index_that_drips_ends_at_the_limit_in_all(whole: bool) -> None:
    """No single byte is late, so no limit between bytes ends it."""

    async def test() -> None:
        drip = say(*(bytes([byte]) for byte in reply(PAGE, x_long="a" * 999)), pause=0.05)
        async with listening(drip) as site, upstream(seconds=0.6) as client:
            started = time.monotonic()
            with pytest.raises(IndexUnreachable, match=f"127.0.0.1:{site.port} did not answer in"):
                await (page if whole else fetch)(client, f"{site.url}/lib/")
            assert time.monotonic() - started < 2

    run(test())


def test_a_silent_index_ends_at_the_limit_between_bytes() -> None:
    async def test() -> None:
        limits = TimeLimits(connect=2, read=0.2, pool=2)
        async with listening(hang) as site, upstream(limits=limits, seconds=0.5) as client:
            with pytest.raises(IndexUnreachable, match="did not answer in time"):
                await fetch(client, f"{site.url}/a")

    run(test())


def test_a_reader_that_is_slow_holds_the_index_back() -> None:
    """What waits for it stays small: sockets' buffers and a few reads."""

    async def test() -> None:
        sent = 0

        async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            nonlocal sent
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(bytes(1 << 16))
                await writer.drain()
                sent += 1 << 16

        async with listening(flood) as site, upstream() as client:
            async with client.open("GET", f"{site.url}/a", index=None, headers={}) as answer:
                chunks = answer.aiter_raw()
                assert len(await anext(chunks)) <= 512 << 10
                await asyncio.sleep(0.5)
            assert sent < 32 << 20

    run(test())


def test_a_slow_reader_gets_all_though_the_index_has_left() -> None:
    """aiohttp 3.14.0 to 3.14.3 said that the body was too short (issue 13348)."""

    async def test() -> None:
        body = bytes(3 << 20)
        async with listening(say_and_close(reply(body))) as site, upstream() as client:
            async with client.open("GET", f"{site.url}/a", index=None, headers={}) as answer:
                size = 0
                async for chunk in answer.aiter_raw():
                    size += len(chunk)
                    await asyncio.sleep(0.15)
            assert size == len(body)

    run(test())


def test_a_connection_that_rests_for_longer_than_an_answer_may_take_is_still_good() -> None:
    """aiohttp 3.14.0 let it run out of time while nobody waited (issue 12953)."""

    async def test() -> None:
        limits = TimeLimits(connect=2, read=0.2, pool=2)
        async with listening(say(reply(PAGE))) as site, upstream(limits=limits) as client:
            for _ in range(3):
                assert await fetch(client, f"{site.url}/a") == PAGE
                await asyncio.sleep(0.4)
            assert (len(site.requests), site.connections) == (3, 1)

    run(test())


def test_hosts_are_named_in_errors() -> None:
    async def test() -> None:
        async with upstream() as client:
            with refusing() as held:
                closed = port_of(held)
                with pytest.raises(IndexUnreachable) as refused:
                    await fetch(client, f"http://127.0.0.1:{closed}/a")
            assert refused.value.message == (
                f"cannot connect to 127.0.0.1:{closed} (Connection refused)"
            )
            with pytest.raises(IndexUnreachable) as unknown:
                await fetch(client, "http://index.invalid/a")
            assert unknown.value.message.startswith("cannot connect to index.invalid (")

    run(test())


@pytest.mark.skipif(sys.platform != "linux", reason="others let the queue of a listener grow")
def test_a_host_that_accepts_no_connection() -> None:
    async def test() -> None:
        limits = TimeLimits(connect=0.3, read=2, pool=2)
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
            address = full.getsockname()
            for _ in range(4):
                one = waiting.enter_context(socket.socket())
                one.setblocking(False)
                one.connect_ex(address)
            async with upstream(limits=limits, seconds=1) as client:
                with pytest.raises(IndexUnreachable) as slow:
                    await fetch(client, f"http://127.0.0.1:{address[1]}/a")
        assert slow.value.message == (f"127.0.0.1:{address[1]} did not accept a connection in time")

    run(test())


def test_the_fast_client_is_imported_when_a_gateway_runs_and_not_before() -> None:
    """It takes longer than all the rest of a command's start."""
    code = (
        "import sys, crane_core.gateway.compose, crane_core.gateway.upstream\n"
        "assert 'aiohttp' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

    async def test() -> None:
        async with Transports(LIMITS, per_host=1) as wires:
            await wires.for_stream(origin_of("https://index.example"), NO_SETTINGS)
        assert "aiohttp" in sys.modules

    run(test())
