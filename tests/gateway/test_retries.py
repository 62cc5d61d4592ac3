"""Asking an index once more: what is worth it, how often, and when it is enough."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest
from gateway.wire import (
    Firm,
    Listener,
    Reader,
    Step,
    Tokens,
    Waits,
    Writer,
    fetch,
    hang,
    index_at,
    listening,
    page,
    port_of,
    refusing,
    reply,
    run,
    say,
    say_and_close,
    serving,
    upstream,
)

from crane_core.errors import IndexRefused, IndexUnreachable
from crane_core.gateway.retry import Patience, Transient
from crane_core.http import StreamError

OK = say(reply(b"right"))
BOTH = pytest.mark.parametrize("ask", [page, fetch])


def says(status: int, **headers: str) -> Step:
    """Return a step that answers with a status."""
    return say(reply(b"" if status == 304 else b"not now", status, **headers))


@BOTH
@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_index_that_is_busy_is_asked_again(ask: Callable, status: int) -> None:
    async def test() -> None:
        clock = Waits()
        steps = (says(status), says(status), OK)
        async with listening(*steps) as site, upstream(clock=clock) as client:
            assert await ask(client, f"{site.url}/a") == b"right"
            assert len(site.requests) == 3
            first, second = clock.slept
            assert 0.125 <= first <= 0.25
            assert 0.5 <= second <= 1.0

    run(test())


@BOTH
def test_three_tries_and_no_more(ask: Callable) -> None:
    async def test() -> None:
        clock = Waits()
        async with listening(says(503)) as site, upstream(clock=clock) as client:
            with pytest.raises(IndexUnreachable, match=f"{site.url}/a answered HTTP 503"):
                await ask(client, f"{site.url}/a")
            assert (len(site.requests), len(clock.slept)) == (3, 2)

    run(test())


@BOTH
@pytest.mark.parametrize("status", [200, 304, 400, 401, 403, 404, 410, 416, 500, 501])
def test_an_answer_is_an_answer(ask: Callable, status: int) -> None:
    """Whatever it says, asking again would hear the same."""

    async def test() -> None:
        async with listening(says(status)) as site, upstream() as client:
            await ask(client, f"{site.url}/a")
            assert len(site.requests) == 1

    run(test())


def test_head_requests_are_asked_again_too() -> None:
    async def test() -> None:
        async with listening(say(reply(b"", 503)), say(reply())) as site, upstream() as client:
            async with client.open("HEAD", f"{site.url}/a", index=None, headers={}) as answer:
                assert answer.status_code == 200
            assert len(site.requests) == 2

    run(test())


@BOTH
def test_an_index_that_comes_up_meanwhile(ask: Callable) -> None:
    """This machine's own included: a server that restarts refuses for just a moment."""

    async def test() -> None:
        async def answer(reader: Reader, writer: Writer) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await OK(reader, writer)
            writer.close()

        servers: list[asyncio.Server] = []
        with refusing() as held:

            async def come_up() -> None:
                servers.append(await asyncio.start_server(answer, sock=held))

            async with upstream(clock=Waits(before=come_up)) as client:
                assert await ask(client, f"http://127.0.0.1:{port_of(held)}/a") == b"right"
            assert len(servers) == 1
            servers[0].close()

    run(test())


def test_a_page_that_breaks_off_is_fetched_again() -> None:
    async def test() -> None:
        cut = say_and_close(reply(b"right")[:-2])
        async with listening(cut, OK) as site, upstream() as client:
            assert await page(client, f"{site.url}/lib/") == b"right"
            assert len(site.requests) == 2

    run(test())


def test_a_file_that_breaks_off_is_not() -> None:
    """Its first bytes are on their way to the tool."""

    async def test() -> None:
        cut = say_and_close(reply(b"right")[:-2])
        async with listening(cut, OK) as site, upstream() as client:
            with pytest.raises(StreamError):
                await fetch(client, f"{site.url}/a")
            assert len(site.requests) == 1

    run(test())


@BOTH
def test_a_server_that_only_closes_is_asked_a_bounded_number_of_times(ask: Callable) -> None:
    """The client itself repeats each try once: a kept connection may have been closed."""

    async def test() -> None:
        async with listening(say_and_close()) as site, upstream() as client:
            with pytest.raises(IndexUnreachable, match="closed without an answer"):
                await ask(client, f"{site.url}/a")
            assert 3 <= len(site.requests) <= 6

    run(test())


@BOTH
def test_a_certificate_is_not_asked_for_twice(ask: Callable, tmp_path: Path) -> None:
    async def test() -> None:
        tls = Firm(tmp_path).server()
        async with listening(OK, tls=tls) as site, upstream() as client:
            with pytest.raises(IndexUnreachable, match="is not trusted"):
                await ask(client, f"{site.url}/a")
            assert site.connections <= 1

    run(test())


@BOTH
def test_a_name_that_does_not_exist_is_not_asked_for_twice(ask: Callable) -> None:
    async def test() -> None:
        clock = Waits()
        async with upstream(clock=clock) as client:
            with pytest.raises(IndexUnreachable, match=r"index\.invalid"):
                await ask(client, "http://index.invalid/a")
        assert clock.slept == []

    run(test())


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("in_words", [False, True])
def test_what_the_index_asks_for_is_kept_to(status: int, in_words: bool) -> None:
    async def test() -> None:
        clock = Waits()
        asked = formatdate(time.time() + 3, usegmt=True) if in_words else "3"
        steps = (says(status, retry_after=asked), OK)
        async with listening(*steps) as site, upstream(clock=clock) as client:
            assert await page(client, f"{site.url}/lib/") == b"right"
            assert 1.5 < clock.slept[0] <= 3.0

    run(test())


def test_a_date_is_read_by_the_clock_of_whoever_wrote_it() -> None:
    async def test() -> None:
        clock, theirs = Waits(), time.time() - 86_400
        asked = {
            "retry_after": formatdate(theirs + 4, usegmt=True),
            "date": formatdate(theirs, usegmt=True),
        }
        async with listening(says(503, **asked), OK) as site, upstream(clock=clock) as client:
            assert await page(client, f"{site.url}/lib/") == b"right"
            assert clock.slept == [4.0]

    run(test())


@BOTH
@pytest.mark.parametrize("in_words", [False, True])
def test_an_index_that_asks_for_too_much_is_an_error_at_once(ask: Callable, in_words: bool) -> None:
    async def test() -> None:
        clock = Waits()
        date = formatdate(time.time(), usegmt=True)
        asked = formatdate(time.time() + 120, usegmt=True) if in_words else "120"
        busy = says(429, retry_after=asked, date=date)
        async with listening(busy, OK) as site, upstream(clock=clock) as client:
            with pytest.raises(IndexUnreachable) as wait:
                await ask(client, f"{site.url}/a")
            assert wait.value.message in {
                f"{site.url}/a answered HTTP 429 and asks to wait {n} s" for n in (119, 120, 121)
            }
            assert (len(site.requests), clock.slept) == (1, [])

    run(test())


@pytest.mark.parametrize("odd", ["", "soon", "-5", "1.5", "٣", "Mon, 99 Foo 2026", "0", "1e3"])
def test_an_odd_wish_is_none(odd: str) -> None:
    async def test() -> None:
        clock = Waits()
        busy = say(
            reply(b"", 503, retry_after="X")
            .replace(b"X\r\ncon", b"con")
            .replace(b"retry-after: X", b"retry-after: " + odd.encode())
        )
        async with listening(busy, OK) as site, upstream(clock=clock) as client:
            assert await page(client, f"{site.url}/lib/") == b"right"
            assert clock.slept[0] <= 0.25

    run(test())


@BOTH
def test_all_tries_end_within_the_limit(ask: Callable) -> None:
    """The first one was busy, which says more than that the second one hung."""

    async def test() -> None:
        async with listening(says(503), hang) as site, upstream(seconds=1.2) as client:
            started = time.monotonic()
            with pytest.raises(IndexUnreachable, match="answered HTTP 503"):
                await ask(client, f"{site.url}/a")
            assert 1.0 < time.monotonic() - started < 3.0
            assert len(site.requests) == 2

    run(test())


@BOTH
def test_a_refused_token_is_renewed_once_whatever_else_goes_wrong(ask: Callable) -> None:
    async def test() -> None:
        tokens = Tokens()
        steps = (says(503), says(401), says(503), says(503), says(401))
        async with listening(*steps) as site, upstream(tokens=tokens) as client:
            index = index_at(site.url)
            with pytest.raises(IndexRefused):
                await ask(client, f"{index.url}/a", index)
            assert tokens.asked == [None, "token-1"]
            shown = [head.lower().partition(b"bearer ")[2][:7].decode() for head in site.requests]
            assert shown == ["token-1", "token-1", "token-2", "token-2", "token-2"]

    run(test())


def test_an_index_that_refuses_everything_is_believed_for_a_while() -> None:
    async def test() -> None:
        tokens = Tokens()
        async with listening(says(401)) as site, upstream(tokens=tokens) as client:
            index = index_at(site.url)
            for _ in range(3):
                with pytest.raises(IndexRefused):
                    await page(client, f"{index.url}/a", index)
            assert len(site.requests) == 4

    run(test())


def test_a_wait_for_a_person_is_no_part_of_the_tries() -> None:
    class Slow(Tokens):
        async def token(self, index, *, rejected=None):
            await asyncio.sleep(0.8)
            return await super().token(index, rejected=rejected)

    async def test() -> None:
        steps = (says(401), OK)
        async with listening(*steps) as site, upstream(tokens=Slow(), seconds=0.6) as client:
            index = index_at(site.url)
            assert await page(client, f"{index.url}/a", index) == b"right"

    run(test())


def test_redirects_are_followed_from_the_start() -> None:
    """The target of the first one may have been signed for one request."""

    async def test() -> None:
        moved = says(302, location="/signed")
        async with listening(moved, says(503), moved, OK) as site, upstream() as client:
            assert await fetch(client, f"{site.url}/a") == b"right"
            assert site.targets == ["/a", "/signed", "/a", "/signed"]

    run(test())


def test_pauses_are_spread_by_chance() -> None:
    """So that those who wait for one index do not come back as one."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def fail() -> None:
        raise Transient("no")

    async def test() -> None:
        for chance in (0.0, 1.0):
            patience = Patience(10, sleep, chance=lambda chance=chance: chance)
            with pytest.raises(Transient):
                await patience.run(fail, "http://index.example")

    run(test())
    assert slept == [0.125, 0.5, 0.25, 1.0]


def test_no_try_is_begun_that_cannot_be_answered_in_time() -> None:
    now = 0.0
    tries: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def fail() -> None:
        nonlocal now
        tries.append(now)
        now += 4.0
        raise Transient("no")

    async def test() -> None:
        patience = Patience(9.0, sleep, lambda: now, lambda: 1.0)
        with pytest.raises(Transient):
            await patience.run(fail, "http://index.example")

    run(test())
    assert tries == [0.0, 4.25]


def test_many_that_wait_keep_no_other_waiting() -> None:
    async def test() -> None:
        site = Listener()

        async def handle(reader: Reader, writer: Writer) -> None:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(reply(b"", 503, retry_after="1"))

        async with serving(site, handle), listening(OK) as quick, upstream() as client:
            client._patience = Patience(5.0)
            waiting = [asyncio.create_task(page(client, f"{site.url}/{n}/")) for n in range(64)]
            await asyncio.sleep(0.3)
            async with asyncio.timeout(1):
                assert await page(client, f"{quick.url}/lib/") == b"right"
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    run(test())
