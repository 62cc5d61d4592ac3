"""Large bodies of known length, whose connection is lent to a protocol of ours (`http1_rest`)."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from gateway.wire import (
    LIMITS,
    Firm,
    Reader,
    Writer,
    fetch,
    hang,
    listening,
    reply,
    run,
    say,
    say_and_close,
    upstream,
)

from crane_core import http1_rest
from crane_core.gateway.transports import Transports
from crane_core.gateway.upstream import Upstream
from crane_core.http import NO_SETTINGS, StreamError, TimeLimits
from crane_core.responses import PIECE
from crane_core.urls import origin_of

BODY = random.Random(1).randbytes(3_000_000)
ANSWER = reply(BODY)
SMALL = reply(b"small")


@pytest.mark.parametrize("is_tls", [False, True])
def test_all_of_it_comes_and_the_connection_is_kept(
    is_tls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No piece changes that somebody still has; several answers follow on one connection."""
    firm = Firm(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", firm.ca_file)

    async def test() -> None:
        cut = len(ANSWER) - 1
        dripping = (ANSWER[:100], ANSWER[100:200], ANSWER[200:900_000], ANSWER[900_000:900_010])
        steps = (
            say(ANSWER),
            say(SMALL),
            say(ANSWER[:cut], ANSWER[cut:], pause=0.05),
            say(*dripping, ANSWER[900_010:], pause=0.02),
            # As many bytes as end with a piece.
            say(reply(BODY[: 4 * PIECE])),
            say(SMALL),
        )
        wanted = [BODY, b"small", BODY, BODY, BODY[: 4 * PIECE], b"small"]
        tls = firm.server() if is_tls else None
        async with listening(*steps, tls=tls) as site, upstream() as client:
            for body in wanted:
                assert await fetch(client, f"{site.url}/a.whl") == body
            assert (len(site.requests), site.connections) == (6, 1)

    run(test())


@pytest.mark.parametrize("pause", [0.0, 0.1])
def test_what_follows_it_unasked_goes_to_nobody(pause: float) -> None:
    async def test() -> None:
        push = say(ANSWER + SMALL) if not pause else say(ANSWER, SMALL, pause=pause)
        async with listening(push, say(reply(b"right"))) as site, upstream() as client:
            assert await fetch(client, f"{site.url}/a.whl") == BODY
            await asyncio.sleep(2 * pause)
            assert await fetch(client, f"{site.url}/b.whl") == b"right"
            assert site.connections == 2

    run(test())


async def _silent(reader: Reader, writer: Writer) -> bool:
    await say(ANSWER[:2_000_000])(reader, writer)
    return await hang(reader, writer)


@pytest.mark.parametrize("silent", [False, True])
def test_one_that_breaks_off_or_stops_is_an_error_and_no_end(silent: bool) -> None:
    """What has come is given before; the next request has a connection of its own."""

    received = b""

    async def read(client: Upstream, url: str) -> None:
        nonlocal received
        async with client.open("GET", url, index=None, headers={}) as answer:
            async for piece in answer.aiter_raw():
                received += piece

    async def test() -> None:
        step = _silent if silent else say_and_close(ANSWER[:2_000_000])
        limits = TimeLimits(connect=2, read=0.3, pool=2)
        async with listening(step, say(SMALL)) as site, upstream(limits=limits) as client:
            with pytest.raises(StreamError):
                await read(client, f"{site.url}/a")
            head = len(ANSWER) - len(BODY)
            assert received == BODY[: 2_000_000 - head]
            assert await fetch(client, f"{site.url}/b") == b"small"
            assert site.connections == 2

    run(test())


def test_a_reader_that_is_slow_holds_the_index_back_and_may_leave() -> None:
    """And whoever leaves in mid-body leaves no connection behind."""

    async def test() -> None:
        sent, has_ended = 0, asyncio.Event()

        async def flood(reader: Reader, writer: Writer) -> bool:
            nonlocal sent
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
            try:
                while True:
                    writer.write(bytes(1 << 16))
                    await writer.drain()
                    sent += 1 << 16
            finally:
                has_ended.set()

        async with listening(flood) as site, Transports(LIMITS, per_host=8) as wires:
            wire = await wires.for_stream(origin_of(site.url), NO_SETTINGS)
            answer = await wire.send("GET", f"{site.url}/a", {})
            pieces = answer.aiter_raw()
            for _ in range(4):
                assert len(await anext(pieces)) <= PIECE
            await asyncio.sleep(0.5)
            assert 1 << 20 < sent < 32 << 20
            await answer.aclose()
            async with asyncio.timeout(5):
                await has_ended.wait()

    run(test())


@pytest.mark.parametrize("part", ["_OF_LENDER", "_OF_CONTENT"])
def test_an_aiohttp_that_is_otherwise_inside_keeps_its_connection(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1_rest, part, ("no_such_name",))
    monkeypatch.delattr(http1_rest, "Rest")

    async def test() -> None:
        async with listening(say(ANSWER), say(SMALL)) as site, upstream() as client:
            assert await fetch(client, f"{site.url}/a.whl") == BODY
            assert await fetch(client, f"{site.url}/b.whl") == b"small"
            assert site.connections == 1

    run(test())
