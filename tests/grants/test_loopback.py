"""The loopback listener against strangers, odd requests and slow ones (RFC 8252 §7.3, §8.3)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from grants.kit import Desk, Page, Person, ask, at_desk, claims_at, get, index_at, logging_in
from idp.oidc import Realm, approve_authorization
from support.world import User

from crane_core.auth import loopback
from crane_core.auth.loopback import LoopbackListener, listening
from crane_core.auth.model import session_key
from crane_core.errors import NoLoopback

STATE = "the-state"
OURS = f"/callback?state={STATE}&code=ours"
Visit = Callable[[LoopbackListener, int], Awaitable[None]]


def listen(visit: Visit) -> None:
    """Run a visit to a listener, and end the listener as a login does."""

    async def run() -> None:
        async with listening("/callback", STATE) as (listener, port, _):
            await visit(listener, port)

    asyncio.run(asyncio.wait_for(run(), 60))


async def page_of(port: int, target: str) -> Page:
    return await asyncio.to_thread(get, port, target)


def still_waits(listener: LoopbackListener) -> bool:
    return not listener._redirect.done()


def is_closed(port: int) -> bool:
    """Whether nobody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_strangers_do_not_end_a_login(person: User, realm: Realm) -> None:
    """Wrong states by the dozen are answered 400 and forgotten; the person's own one counts."""
    with logging_in(person) as login:
        for number in range(40):
            stray = f"state=stray-{number}&" if number % 2 else ""
            page = get(login.port, f"/callback?{stray}code=stolen&iss={realm.issuer}")
            assert page.status == 400
            assert "Not this login" in page.text
        approve_authorization(login.url)
        assert login.end().code == 0
    assert len(realm.requests("token")) == 1


ODD = {
    "another path": f"GET /other?state={STATE}&code=x HTTP/1.1\r\n\r\n",
    "the path and more": f"GET /callback/more?state={STATE}&code=x HTTP/1.1\r\n\r\n",
    "a POST": f"POST /callback?state={STATE}&code=x HTTP/1.1\r\n\r\n",
    "a HEAD": f"HEAD /callback?state={STATE}&code=x HTTP/1.1\r\n\r\n",
    "a state twice": f"GET /callback?state={STATE}&state={STATE}&code=x HTTP/1.1\r\n\r\n",
    "a code twice": f"GET /callback?state={STATE}&code=x&code=y HTTP/1.1\r\n\r\n",
    "an absolute target": f"GET http://evil.example/callback?state={STATE} HTTP/1.1\r\n\r\n",
    "no request line": "\r\n\r\n",
    "half a request line": "GET\r\n\r\n",
    "four words": f"GET /callback?state={STATE} and more HTTP/1.1\r\n\r\n",
    "letters beyond ASCII": f"GET /callback?state={STATE}&code=\xe9 HTTP/1.1\r\n\r\n",
    "a broken address": "GET http://[::1 HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("request_text", ODD.values(), ids=ODD)
def test_an_odd_request_gets_404_and_the_login_waits_on(request_text: str) -> None:
    """Even with the right state: that is no redirect of a provider (RFC 6749 §3.1)."""

    async def visit(listener: LoopbackListener, port: int) -> None:
        page = await asyncio.to_thread(ask, port, request_text.encode("latin-1"))
        assert page.status == 404
        assert still_waits(listener)

    listen(visit)


def test_a_fragment_or_an_encoded_path_is_not_ours() -> None:
    """The path is compared as it was sent."""

    async def visit(listener: LoopbackListener, port: int) -> None:
        assert (await page_of(port, f"/%63allback?state={STATE}&code=x")).status == 404
        assert still_waits(listener)

    listen(visit)


def test_a_huge_request_is_cut_off() -> None:
    """A head beyond 16 KiB gets no answer and no memory; the login waits on."""

    async def visit(listener: LoopbackListener, port: int) -> None:
        huge = f"GET /callback?state={STATE}&code={'x' * 2_000_000} HTTP/1.1\r\n\r\n".encode()
        page = await asyncio.to_thread(ask, port, huge)
        assert page.status == 0
        assert still_waits(listener)

    listen(visit)


def test_two_redirects_of_one_login() -> None:
    """A reloaded tab: the first code counts, and both tabs hear how it ended."""

    async def visit(listener: LoopbackListener, port: int) -> None:
        tabs = [asyncio.create_task(page_of(port, f"{OURS}-{n}")) for n in ("first", "second")]
        redirect = await listener.redirect()
        listener.tell(None)
        pages = await asyncio.gather(*tabs)
        assert [page.status for page in pages] == [200, 200]
        assert redirect.parameters == (await listener.redirect()).parameters
        assert redirect.parameters["code"] in {"ours-first", "ours-second"}

    listen(visit)


@pytest.mark.parametrize(
    ("problem", "title", "text"),
    [
        (None, "You are logged in", "You can close this tab."),
        ("denied; run: crane login", "The login failed", "denied; run: crane login"),
        ("<script>alert(1)</script>&", "The login failed", "&lt;script&gt;alert(1)"),
    ],
)
def test_the_tab_tells_how_it_ended(problem: str | None, title: str, text: str) -> None:
    """Only once it has ended; and whatever the provider said is text, never markup."""

    async def visit(listener: LoopbackListener, port: int) -> None:
        tab = asyncio.create_task(page_of(port, OURS))
        await listener.redirect()
        assert not tab.done()
        listener.tell(problem)
        page = await tab
        assert page.status == 200
        assert f"<h1>{title}</h1>" in page.text
        assert text in page.text
        assert "<script" not in page.text

    listen(visit)


@pytest.mark.parametrize("target", [OURS, "/callback?state=stray", "/favicon.ico"])
def test_every_page_is_kept_by_nobody_and_loads_nothing(target: str) -> None:
    """No cache holds the address with the code, no referrer tells it, one answer a connection."""

    async def visit(listener: LoopbackListener, port: int) -> None:
        listener.tell(None)
        page = await page_of(port, target)
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["connection"] == "close"
        assert int(page.headers["content-length"]) == len(page.text.encode())
        assert "ours" not in page.text
        assert "stray" not in page.text

    listen(visit)


def test_an_idle_connection_neither_stops_nor_delays_a_login() -> None:
    """Browsers open a second connection in advance, and use it or not."""

    async def run() -> None:
        with contextlib.ExitStack() as idle:
            async with listening("/callback", STATE) as (listener, port, _):
                silent, slow = (
                    idle.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
                    for _ in range(2)
                )
                slow.sendall(b"GET /call")
                tab = asyncio.create_task(page_of(port, OURS))
                await listener.redirect()
                listener.tell(None)
                assert (await tab).status == 200
                began = time.monotonic()
            assert time.monotonic() - began < 1.5
            assert is_closed(port)
            for connection in (silent, slow):
                assert await asyncio.to_thread(connection.recv, 1) == b""

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_failed_login_still_tells_its_tab() -> None:
    """The error leaves the block at once; the page is delivered before the port closes."""
    pages: list[Page] = []

    async def run() -> None:
        async with listening("/callback", STATE) as (listener, port, _):
            tab = threading.Thread(target=lambda: pages.append(get(port, OURS)))
            tab.start()
            await listener.redirect()
            listener.tell("it went wrong")
            raise LookupError(port)

    with pytest.raises(LookupError) as caught:
        asyncio.run(run())
    assert is_closed(caught.value.args[0])
    wait_until(lambda: bool(pages))
    assert "it went wrong" in pages[0].text


def test_a_login_given_up_in_the_middle_tells_its_tab() -> None:
    """Ctrl-C or `--timeout` after the redirect: the tab must not hang, nor claim success."""
    pages: list[Page] = []

    async def run() -> None:
        async with asyncio.timeout(0.3), listening("/callback", STATE) as (listener, port, _):
            threading.Thread(target=lambda: pages.append(get(port, OURS))).start()
            await listener.redirect()
            await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError):
        asyncio.run(run())
    wait_until(lambda: bool(pages))
    assert "The login failed" in pages[0].text


def wait_until(done: Callable[[], bool]) -> None:
    """Wait, at most ten seconds, for something that another thread does."""
    deadline = time.monotonic() + 10
    while not done() and time.monotonic() < deadline:
        threading.Event().wait(0.01)


def test_nobody_listens_before_and_after_a_login(person: User) -> None:
    """The port is open while a login waits, and no longer (RFC 8252 §8.3)."""
    with logging_in(person) as login:
        assert not is_closed(login.port)
        approve_authorization(login.url)
        assert login.end().code == 0
        assert is_closed(login.port)


def test_only_this_machine_is_listened_on() -> None:
    """The socket is bound to the loopback address, not to every one."""

    async def run() -> None:
        server, shown = await loopback._start(LoopbackListener("/", STATE), None, 0)
        assert {s.getsockname()[0] for s in server.sockets} == {"127.0.0.1"}
        assert shown == "127.0.0.1"
        server.close()

    asyncio.run(run())


def without(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Make addresses of this machine unusable."""
    start = asyncio.start_server

    async def refusing(handle: object, host: str, *rest: object, **more: object) -> object:
        if host in hosts:
            raise OSError(99, "Cannot assign requested address")
        return await start(handle, host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "start_server", refusing)


def test_ipv6_where_there_is_no_ipv4(
    realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole login over `http://[::1]:PORT/` (RFC 8252 §7.3)."""
    without(monkeypatch, "127.0.0.1")
    person = Person(approve_authorization)

    async def job(desk: Desk) -> str:
        session = await desk.login()
        return session.tokens.access_token.reveal()

    token = at_desk(tmp_path, index_at(realm), job, person=person)
    assert "redirect_uri=http%3A%2F%2F%5B%3A%3A1%5D%3A" in person.shown[0]
    assert claims_at(realm, token)["preferred_username"] == "ada"


def test_neither_ipv4_nor_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 29, with the grant that needs no port."""
    without(monkeypatch, "127.0.0.1", "::1")

    async def visit(listener: LoopbackListener, port: int) -> None:
        raise AssertionError("nothing to visit")

    with pytest.raises(NoLoopback) as caught:
        listen(visit)
    assert caught.value.exit_code == 29
    assert "device" in caught.value.hint


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_a_port_that_the_provider_insists_on(realm: Realm, tmp_path: Path, host: str) -> None:
    """Where a provider compares the port too, it is listened on; twice in a minute as well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    person = Person(approve_authorization)

    async def job(desk: Desk) -> None:
        await desk.login()
        desk.context.store.delete(session_key(index))
        await desk.login()

    index = index_at(realm, redirect_uri=f"http://{host}:{port}/callback")
    at_desk(tmp_path, index, job, person=person)
    used = {asked.params["redirect_uri"] for asked in realm.requests("token")}
    assert used == {f"http://{host}:{port}/callback"}
