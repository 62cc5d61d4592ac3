"""What is handed on as it is: uploads with the token, everything else without it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from forward import raw
from forward.net import Net
from forward.rig import PRIVATE_HOST, PUBLIC_HOST, Rig, Site, forward
from gateway.harness import Home
from gateway.upstream import SECONDS, Scripted, start, whole

from crane_core.gateway.settings import Settings

MEBIBYTE = 1 << 20
OWN = "authorization: Basic YWRhOnB3"


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer with what was asked: method, headers, length and hash of the body."""
    digest, size = hashlib.sha256(), 0
    while True:
        message = await receive()
        digest.update(message.get("body", b""))
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    said = {
        "method": scope["method"],
        "target": (scope["raw_path"] + b"?" + scope["query_string"]).decode(),
        "headers": [[k.decode(), v.decode()] for k, v in scope["headers"]],
        "size": size,
        "sha256": digest.hexdigest(),
    }
    await whole(201, json.dumps(said).encode(), "application/json", x_mine="yes")(
        scope, receive, send
    )


@pytest.fixture
def app() -> Scripted:
    return Scripted(
        {
            "/python/": echo,
            "/elsewhere": echo,
            "/python/upload/x.txt": echo,
            "/python/lib/x.whl": echo,
        }
    )


@pytest.fixture
def odd(app: Scripted, net: Net, site: Site, home: Home, tmp_path) -> Iterator[Rig]:
    """Give a forward route before an index that says what it was asked."""
    with net.host(app, "odd.test") as url:
        index = site.index(name="odd", url=f"{url}/python/simple")
        home.login(index)
        # It is to be asked by the tool alone.
        with forward(home, net, tmp_path, index, settings=Settings(prefetch=False)) as rig:
            yield rig


def said_by(answer: raw.Raw) -> dict[str, Any]:
    body = answer.body
    if "transfer-encoding: chunked" in answer.head.lower():
        body = body.partition(b"\r\n")[2].rpartition(b"\r\n0\r\n")[0]
    found: dict[str, Any] = json.loads(body)
    return {**found, "fields": dict(map(tuple, found["headers"]))}


def test_an_upload_gets_the_token_and_not_the_tools_login(odd: Rig, home: Home) -> None:
    """As a Crane server takes it: at the file's own path; with a login that the tool was given."""
    body = b"x" * 100_000
    with raw.secure(odd, odd.open(), "odd.test:443") as tls:
        head = (
            f"POST /python/lib/x.whl?a=b HTTP/1.1\r\nhost: odd.test\r\n{OWN}\r\ncookie: c=d\r\n"
            f"content-type: multipart/form-data; boundary=x\r\nuser-agent: twine/6\r\n"
            f"x-hop: 1\r\nconnection: close, x-hop\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        tls.sendall(head.encode() + body)
        answer = raw.Raw(raw.read_all(tls))
    said = said_by(answer)
    assert answer.status == 201
    assert said["target"] == "/python/lib/x.whl?a=b"
    assert said["sha256"] == hashlib.sha256(body).hexdigest()
    logins = [v for k, v in said["headers"] if k == "authorization"]
    assert len(logins) == 1
    assert logins[0].startswith("Bearer ")
    assert said["fields"]["user-agent"] == "twine/6"
    assert said["fields"]["content-length"] == str(len(body))
    assert said["fields"]["host"] == "odd.test"
    assert not {"cookie", "x-hop", "via", "x-forwarded-for"} & said["fields"].keys()
    assert "x-mine: yes" in answer.head.lower()


def test_elsewhere_on_the_origin_the_tools_own_login_goes(odd: Rig) -> None:
    """And no token, whatever the path looks like."""
    view = odd.open()
    said = said_by(raw.get(odd, view, "https://odd.test/elsewhere", OWN, "cookie: c=d"))
    assert said["fields"]["authorization"] == "Basic YWRhOnB3"
    assert said["fields"]["cookie"] == "c=d"
    assert "accept" not in said["fields"]
    assert "user-agent" not in said["fields"]


@pytest.mark.parametrize(
    "path",
    ["/python/../elsewhere", "/python/%2e%2e/elsewhere", "/python%2felsewhere", "/pythonic",
     "/python/..%5celsewhere", "/Python/", "//python/", "/python;x/", "/"],
)  # fmt: skip
def test_no_path_beside_the_prefix_gets_the_token(odd: Rig, app: Scripted, path: str) -> None:
    with raw.secure(odd, odd.open(), "odd.test:443") as tls:
        raw.ask(tls, f"GET {path} HTTP/1.1\r\nhost: odd.test\r\nconnection: close\r\n\r\n")
    assert app.requests
    assert not any("authorization" in headers for _, _, headers in app.requests)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_every_method_is_handed_on(odd: Rig, app: Scripted, method: str) -> None:
    answer = raw.get(odd, odd.open(), "https://odd.test/python/upload/x.txt", method=method)
    assert answer.status == 201
    assert [m for m, _, _ in app.requests] == [method]
    assert app.requests[0][2]["authorization"].startswith("Bearer ")


def test_a_chunked_body(odd: Rig) -> None:
    with raw.secure(odd, odd.open(), "odd.test:443") as tls:
        answer = raw.ask(
            tls,
            "PUT /python/upload/x.txt HTTP/1.1\r\nhost: odd.test\r\nconnection: close\r\n"
            "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n",
        )
    assert said_by(answer)["sha256"] == hashlib.sha256(b"hello, world").hexdigest()


def test_expect_100_continue(odd: Rig) -> None:
    """The body is asked for once the index is there, and not before."""
    with raw.secure(odd, odd.open(), "odd.test:443") as tls:
        head = "POST /python/ HTTP/1.1\r\nhost: odd.test\r\nexpect: 100-continue\r\n"
        tls.sendall(f"{head}content-length: 5\r\nconnection: close\r\n\r\n".encode())
        assert raw.read_head(tls) == b"HTTP/1.1 100 Continue\r\n\r\n"
        tls.sendall(b"hello")
        answer = raw.Raw(raw.read_all(tls))
    said = said_by(answer)
    assert said["size"] == 5
    assert "expect" not in said["fields"]


def test_an_upload_that_cannot_be_is_refused_before_its_body(
    net: Net, site: Site, home: Home, tmp_path
) -> None:
    """Nobody is logged in: no `100 Continue`, and the connection ends with the reason."""
    with forward(home, net, tmp_path, site.index()) as rig:
        with raw.secure(rig, rig.open(), f"{PRIVATE_HOST}:443") as tls:
            head = f"POST /python/ HTTP/1.1\r\nhost: {PRIVATE_HOST}\r\nexpect: 100-continue\r\n"
            answer = raw.ask(tls, f"{head}content-length: 99\r\n\r\n")
        assert answer.status == 403
        assert "run: crane login python" in answer.status_line
        assert "connection: close" in answer.head.lower()
        # Without Expect the tool writes at once; it must be able to read the reason.
        with raw.secure(rig, rig.open(), f"{PRIVATE_HOST}:443") as tls:
            head = f"POST /python/ HTTP/1.1\r\nhost: {PRIVATE_HOST}\r\nconnection: close\r\n"
            size = 8 * MEBIBYTE
            tls.sendall(f"{head}content-length: {size}\r\n\r\n".encode() + bytes(size))
            answer = raw.Raw(raw.read_all(tls))
        assert answer.status == 403
    assert not site.crane.requests


def test_an_upload_that_the_index_does_not_read_is_not_read_here(odd: Rig, app: Scripted) -> None:
    """Back-pressure: of 300 MB only what the kernel holds is taken from the tool."""
    may_read = threading.Event()

    async def slow(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await asyncio.to_thread(may_read.wait, SECONDS)
        await echo(scope, receive, send)

    app.routes["/python/slow"] = slow
    sent = 0
    with raw.secure(odd, odd.open(), "odd.test:443") as tls:
        tls.settimeout(1.0)
        head = "PUT /python/slow HTTP/1.1\r\nhost: odd.test\r\nconnection: close\r\n"
        tls.sendall(f"{head}content-length: {300 * MEBIBYTE}\r\n\r\n".encode())
        with contextlib.suppress(TimeoutError):
            for _ in range(300):
                tls.sendall(bytes(MEBIBYTE))
                sent += MEBIBYTE
        may_read.set()
    # What kernels hold for the sockets on the way: 45 MB were seen on a busy machine.
    assert sent < 100 * MEBIBYTE


def test_a_tool_that_leaves_in_mid_upload(odd: Rig, app: Scripted) -> None:
    """The index sees a request that broke off, never a short one that looks whole."""
    begun, ended, seen = threading.Event(), threading.Event(), []

    async def take(scope: dict[str, Any], receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            seen.append(message)
            begun.set()
            if message["type"] == "http.disconnect" or not message["more_body"]:
                break
        ended.set()

    app.routes["/python/take"] = take
    with raw.secure(odd, odd.open(), "odd.test:443") as tls:
        head = "PUT /python/take HTTP/1.1\r\nhost: odd.test\r\ntransfer-encoding: chunked\r\n\r\n"
        tls.sendall(f"{head}5\r\nhello\r\n".encode())
        assert begun.wait(SECONDS)
    assert ended.wait(SECONDS)
    assert seen[-1]["type"] == "http.disconnect"


def test_an_answer_before_the_end_of_the_body(odd: Rig, app: Scripted) -> None:
    """It goes to the tool, and the rest of its body is not read as another request."""
    app.routes["/python/early"] = whole(413, b"too large", "text/plain")
    smuggled = "GET /python/smuggled HTTP/1.1\r\nhost: odd.test\r\n\r\n"
    with raw.secure(odd, odd.open(), "odd.test:443") as tls:
        head = "PUT /python/early HTTP/1.1\r\nhost: odd.test\r\ncontent-length: 1000\r\n\r\n"
        answer = raw.ask(tls, head + smuggled)
    assert answer.status == 413
    assert answer.data.count(b"HTTP/1.1 ") == 1
    assert not any("smuggled" in path for _, path, _ in app.requests)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("to", ["https://pypi.test/x", "/elsewhere", "https://odd.test/python/y"])
def test_a_redirect_is_the_tools_to_follow(
    odd: Rig, app: Scripted, site: Site, status: int, to: str
) -> None:
    app.routes["/python/away"] = whole(status, b"", location=to)
    answer = raw.get(odd, odd.open(), "https://odd.test/python/away", method="POST")
    assert answer.status == status
    assert f"location: {to}" in answer.head
    assert len(app.requests) == 1
    assert not site.public_server.requests


def test_an_index_that_refuses_the_token_of_an_upload(odd: Rig, app: Scripted) -> None:
    """Never 401, which would have the tool ask a person for a password."""
    app.routes["/python/no"] = whole(401, b"", www_authenticate="Bearer")
    answer = raw.get(odd, odd.open(), "https://odd.test/python/no", method="POST")
    assert answer.status == 403
    assert "crane: odd refused the login" in answer.status_line
    assert "www-authenticate" not in answer.head.lower()


def test_an_answer_is_handed_on_as_it_is(odd: Rig, app: Scripted) -> None:
    body = bytes(range(256)) * 4096

    async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
        message = start(200, content_type="x/y", content_encoding="gzip", etag='W/"1"',
                        content_length=str(len(body)), connection="x-hop", x_hop="1")  # fmt: skip
        message["headers"] += [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
        await send(message)
        await send({"type": "http.response.body", "body": body})

    app.routes["/elsewhere"] = answer
    got = raw.get(odd, odd.open(), "https://odd.test/elsewhere")
    assert got.body == body
    lines = got.head.lower().split("\r\n")
    for line in ("content-encoding: gzip", 'etag: w/"1"', "set-cookie: a=1", "set-cookie: b=2"):
        assert line in lines
    assert not any(line.startswith("x-hop") for line in lines)
    assert sum(line.startswith("date:") for line in lines) == 1


def test_an_answer_without_a_body(odd: Rig, app: Scripted) -> None:
    app.routes["/elsewhere"] = whole(304, b"", etag='"1"')
    got = raw.get(odd, odd.open(), "https://odd.test/elsewhere", 'if-none-match: "1"')
    assert got.status == 304
    assert got.body == b""


def test_an_answer_that_breaks_off_is_no_whole_one(odd: Rig, app: Scripted) -> None:
    async def broken(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(start(200, content_length="1000"))
        await send({"type": "http.response.body", "body": b"x" * 10, "more_body": True})
        raise ConnectionError

    app.routes["/elsewhere"] = broken
    got = raw.get(odd, odd.open(), "https://odd.test/elsewhere")
    assert b"content-length: 1000" in got.data
    assert len(got.body) < 1000


def test_websockets_are_refused_with_a_reason(odd: Rig, app: Scripted) -> None:
    got = raw.get(
        odd, odd.open(), "https://odd.test/elsewhere", "upgrade: websocket",
        "sec-websocket-key: x", "sec-websocket-version: 13",
    )  # fmt: skip
    assert got.status == 501
    assert "no websockets" in got.status_line
    assert not app.requests


def test_a_host_that_is_away(odd: Rig, net: Net) -> None:
    view = odd.open()
    net.places.pop("odd.test:443")
    got = raw.get(odd, view, "https://odd.test/elsewhere")
    assert got.status == 504
    assert "crane: " in got.status_line
    assert "odd.test" in got.status_line


def test_many_requests_on_one_connection(rig: Rig, site: Site) -> None:
    """Pages, files and what is handed on share it; a page comes again from memory."""
    site.add_private("firm-lib")
    view = rig.open()
    head = f"HTTP/1.1\r\nhost: {PRIVATE_HOST}\r\n"
    paths = ["/python/firm-lib/", "/python/firm-lib/firm_lib-1.0-py3-none-any.whl",
             "/elsewhere", "/python/firm-lib/", "/python/firm-lib/"]  # fmt: skip
    with raw.secure(rig, view, f"{PRIVATE_HOST}:443") as tls:
        for path in paths:
            tls.sendall(f"GET {path} {head}\r\n".encode())
            answer = raw.read_head(tls).decode().lower()
            assert f" {401 if path == '/elsewhere' else 200} " in answer.split("\r\n")[0] + " "
            size = int(answer.partition("content-length: ")[2].split("\r\n")[0])
            while size:
                size -= len(tls.recv(size))


def test_finished_answers_belong_to_one_view_and_one_origin(rig: Rig, site: Site) -> None:
    """The same bytes on another view's or another host's connection get that one's answer."""
    site.add_private("twice", "1.0")
    site.add_public("twice", "2.0")
    first, second = rig.open(), rig.open(indexes=("python",), serves_fallback=True)
    request = f"GET /python/twice/ HTTP/1.1\r\nhost: {PRIVATE_HOST}\r\n\r\n".encode()
    memories = set()
    for view in (first, second):
        with raw.secure(rig, view, f"{PRIVATE_HOST}:443") as tls:
            for _ in range(2):
                tls.sendall(request)
                answer = raw.read_head(tls).decode().lower()
                size = int(answer.partition("content-length: ")[2].split("\r\n")[0])
                while size:
                    size -= len(tls.recv(size))
    for known in rig.forwarding.views._views.values():  # type: ignore[union-attr]
        memories |= {id(origin.finished) for origin in known.origins.values()}
    assert len(memories) == 4
    # The same bytes to the public host: its Host does not fit.
    with raw.secure(rig, first, f"{PUBLIC_HOST}:443") as tls:
        assert raw.ask(tls, request.decode()).status == 421


def test_the_token_is_seen_by_its_index_alone(rig: Rig, site: Site, net: Net) -> None:
    """Pages, a file, an upload, the public index, a redirect's host: who saw a login."""
    site.add_private("firm-lib", requires=["open-lib"])
    site.add_public("open-lib")
    view = rig.open(serves_fallback=True)
    elsewhere = Scripted({"/file": whole(200, b"x", "application/zip")})
    with net.host(elsewhere, "files.test"):
        net_url = "https://files.test/file"
        from crane_devserver import Fault

        site.crane.faults.append(
            Fault(path="/python/x/away", status=302, headers=[("location", net_url)])
        )
        for url in (f"{site.index_url}/firm-lib/", f"{site.index_url}/open-lib/",
                    f"{site.index_url}/firm-lib/firm_lib-1.0-py3-none-any.whl",
                    f"{site.public_url}/open-lib/", f"{site.index_url}/x/away.txt",
                    f"{site.index_url}/x/away-1.0-py3-none-any.whl"):  # fmt: skip
            assert raw.get(rig, view, url).status in {200, 302, 404, 504}, url
        raw.get(rig, view, net_url)
    assert elsewhere.requests
    assert not any("authorization" in headers for _, _, headers in elsewhere.requests)
    assert not site.logins_seen_by_public()
    seen = [r.header("authorization") for r in site.crane.requests]
    assert seen
    assert all(login and login.startswith("Bearer ") for login in seen)


@pytest.mark.parametrize("split", [0, 1, 2, 3, 4])
def test_a_body_that_comes_with_its_head_is_no_long_head(odd: Rig, split: int) -> None:
    """In one read or in two, wherever the end of the head is cut."""
    body = b"y" * (200 << 10)
    head = (
        "PUT /python/upload/x.txt HTTP/1.1\r\nhost: odd.test\r\nconnection: close\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode()
    with raw.secure(odd, odd.open(), "odd.test:443") as tls:
        if split:
            tls.sendall(head[:-split])
            tls.sendall(head[-split:] + body)
        else:
            tls.sendall(head + body)
        answer = raw.Raw(raw.read_all(tls))
    assert answer.status == 201
    assert said_by(answer)["sha256"] == hashlib.sha256(body).hexdigest()


def test_a_fresh_page_is_given_again_from_its_own_connections_memory(
    odd: Rig, app: Scripted, home: Home
) -> None:
    """Byte for byte the same request; another view is asked anew, and none after a logout."""
    link = b"<title>Links for lib</title><a href='../../lib-1.0.tar.gz#sha256=%s'>x</a>" % (
        b"0" * 64
    )
    listing = b"<title>Simple index</title><a href='lib/'>lib</a>"
    app.routes["/python/simple/"] = whole(200, listing, cache_control="max-age=60")
    app.routes["/python/simple/lib/"] = whole(200, link, cache_control="max-age=60")
    request = b"GET /python/simple/lib/ HTTP/1.1\r\nhost: odd.test\r\n\r\n"

    def given_again() -> int:
        count: int = odd.forwarding.status.given_again()
        return count

    def ask_twice(tls: Any) -> list[bytes]:
        answers = []
        for _ in range(2):
            tls.sendall(request)
            head = raw.read_head(tls)
            size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            body = b""
            while len(body) < size:
                body += tls.recv(size - len(body))
            answers.append(body)
        return answers

    first, second = odd.open(), odd.open()
    with raw.secure(odd, first, "odd.test:443") as tls:
        one, again = ask_twice(tls)
        assert one == again
        assert b"https://odd.test/python/lib-1.0.tar.gz" in one
        assert given_again() == 1
    with raw.secure(odd, second, "odd.test:443") as tls:
        assert ask_twice(tls) == [one, one]
        assert given_again() == 2
    assert [path for _, path, _ in app.requests].count("/python/simple/lib/") == 1
