"""The front: who may use it, and requests that mean two things."""

from __future__ import annotations

import socket
import ssl

import pytest
from forward import raw
from forward.net import Net
from forward.rig import PRIVATE_HOST, PUBLIC_HOST, Rig, Site, forward
from gateway.harness import Home
from gateway.upstream import Scripted, whole

import crane_core.gateway.front as front_module
from crane_core.gateway.connect_head import LONGEST_HEAD
from crane_devserver.running import serve_in_thread

TARGET = f"{PRIVATE_HOST}:443"
HEADS = {
    "content-length and transfer-encoding": "content-length: 4\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding alone": "transfer-encoding: chunked\r\n",
    "content-length alone": "content-length: 4\r\n",
    "two lengths": "content-length: 0\r\ncontent-length: 4\r\n",
    "obs-fold": "x: a\r\n b\r\n",
    "bare LF": "x: a\ny: b\r\n",
    "space before the colon": "x : a\r\n",
    "NUL": "x: a\x00b\r\n",
    "no colon": "nonsense\r\n",
    "two hosts": "host: elsewhere.test\r\n",
}


@pytest.mark.parametrize("fault", HEADS.values(), ids=HEADS.keys())
def test_a_connect_of_two_meanings_is_refused(rig: Rig, site: Site, fault: str) -> None:
    view = rig.open()
    head = f"CONNECT {TARGET} HTTP/1.1\r\nhost: {TARGET}\r\n{raw.login(view)}"
    right = f"{head}\r\n".encode()
    answer = raw.send(rig, f"{head}{fault}\r\nGET / HTTP/1.1\r\n\r\n".encode("latin-1"))
    assert answer.status == 400
    assert answer.data.count(b"HTTP/1.1 ") == 1
    # The control: without the fault it is served.
    with rig.connect() as connection:
        connection.sendall(right)
        assert raw.read_head(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "framing",
    [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "content-length: 4\r\ncontent-length: 5\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "x: a\r\n b\r\n",
        "x: a\ny: b\r\n",
    ],
)
@pytest.mark.parametrize("inside", [True, False], ids=["in a tunnel", "plain"])
def test_a_request_of_two_meanings_is_refused(
    rig: Rig, site: Site, framing: str, inside: bool
) -> None:
    view = rig.open()
    smuggled = "0\r\n\r\nGET /python/smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
    if inside:
        with raw.secure(rig, view, TARGET) as tls:
            head = f"POST /python/ HTTP/1.1\r\nhost: {PRIVATE_HOST}\r\n"
            answer = raw.ask(tls, f"{head}{framing}\r\n{smuggled}")
    else:
        head = f"POST http://plain.test/ HTTP/1.1\r\nhost: plain.test\r\n{raw.login(view)}"
        answer = raw.send(rig, f"{head}{framing}\r\n{smuggled}".encode())
    assert answer.status == 400
    assert answer.data.count(b"HTTP/1.1 ") == 1
    assert not site.crane.requests


@pytest.mark.parametrize(
    "target",
    ["index.firm.test", "index.firm.test:", "index.firm.test:0", "index.firm.test:99999",
     "https://index.firm.test/", "a@index.firm.test:443", "[fe80::1%25eth0]:443", "[::1:443",
     "index.firm.test:443/x", ":443", "index.firm.test:+443", "a\\b:443", "*"],
)  # fmt: skip
def test_a_target_that_is_no_authority_is_refused(rig: Rig, target: str) -> None:
    view = rig.open()
    head = f"CONNECT {target} HTTP/1.1\r\nhost: x\r\n{raw.login(view)}\r\n"
    answer = raw.send(rig, head.encode())
    assert answer.status in {400, 403}


def test_a_head_without_an_end_is_refused(rig: Rig) -> None:
    view = rig.open()
    head = f"CONNECT {TARGET} HTTP/1.1\r\nhost: x\r\n{raw.login(view)}x: ".encode()
    answer = raw.send(rig, head + b"a" * LONGEST_HEAD)
    assert answer.status == 400
    assert b"too long" in answer.body


@pytest.mark.parametrize("begun", [b"", b"CONN", b"CONNECT a:1 HTTP/1.1\r\n", b"GET / HTT"])
def test_a_head_that_never_comes_is_not_waited_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(front_module, "HEAD_SECONDS", 0.3)
    assert raw.send(rig, begun).data == b""


def test_a_handshake_that_never_comes_is_not_waited_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_module, "HANDSHAKE_SECONDS", 0.3)
    with raw.tunnel(rig, rig.open(), TARGET) as connection:
        assert raw.read_all(connection) == b""


def test_a_first_request_that_never_comes_is_not_waited_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_module, "FIRST_REQUEST_SECONDS", 0.3)
    with raw.secure(rig, rig.open(), TARGET) as tls:
        assert raw.read_all(tls) == b""


WRONG = {
    "none": "",
    "wrong": f"proxy-authorization: {raw.basic('wrong')}\r\n",
    "empty": f"proxy-authorization: {raw.basic('')}\r\n",
    "bearer": "proxy-authorization: Bearer x\r\n",
    "no base64": "proxy-authorization: Basic !!!\r\n",
    "for the host": f"authorization: {raw.basic('wrong')}\r\n",
}


@pytest.mark.parametrize("header", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize(
    "request_line",
    [f"CONNECT {TARGET}", "CONNECT elsewhere.test:443", "GET http://plain.test/"],
)
def test_without_the_secret_nothing_is_served(
    rig: Rig, site: Site, header: str, request_line: str
) -> None:
    rig.open()
    head = f"{request_line} HTTP/1.1\r\nhost: x\r\n{header}\r\n"
    answer = raw.send(rig, head.encode())
    assert answer.status == 407
    assert "proxy-authenticate: basic" in answer.head.lower()
    assert not site.net.targets


def test_the_secret_of_one_view_opens_nothing_of_another(rig: Rig, site: Site) -> None:
    """A view without indexes gets the host's own certificate and no token."""
    mine, other = rig.open(), rig.open(indexes=())
    assert other.origins == ()
    site.add_private("firm-lib")
    with raw.secure(rig, other, TARGET, context=rig.context(None)) as tls:
        answer = raw.ask(
            tls,
            f"GET /python/firm-lib/ HTTP/1.1\r\nhost: {PRIVATE_HOST}\r\nconnection: close\r\n\r\n",
        )
    assert answer.status == 401
    only_mine = ssl.create_default_context(cadata=mine.authority)
    with pytest.raises(ssl.SSLError), raw.secure(rig, other, TARGET, context=only_mine):
        pass
    with raw.secure(rig, mine, TARGET, context=only_mine):
        pass
    assert raw.get(rig, mine, f"{site.index_url}/firm-lib/").status == 200


def test_a_closed_view_is_over_at_once(rig: Rig, site: Site) -> None:
    site.add_private("firm-lib")
    view = rig.open()
    with (
        raw.secure(rig, view, TARGET) as tls,
        raw.tunnel(rig, view, f"{PUBLIC_HOST}:443") as blind,
    ):
        rig.close(view)
        assert raw.read_all(tls) == b""
        assert raw.read_all(blind) == b""
    with pytest.raises(raw.Refused) as refused, raw.tunnel(rig, view, TARGET):
        pass
    assert refused.value.answer.status == 407
    rig.close(view)


def test_idle_since(rig: Rig, home: Home) -> None:
    """An open tunnel is use, and so was the last request."""
    view = rig.open()
    before = rig.on_loop(rig.forwarding.is_idle_since)
    home.clock.ahead += 100
    assert rig.on_loop(rig.forwarding.is_idle_since) == before
    with raw.secure(rig, view, TARGET):
        first = rig.on_loop(rig.forwarding.is_idle_since)
        home.clock.ahead += 100
        assert rig.on_loop(rig.forwarding.is_idle_since) >= first + 100
    raw.send(rig, b"GET /-/x HTTP/1.1\r\nhost: nobody\r\n\r\n")
    after = rig.on_loop(rig.forwarding.is_idle_since)
    home.clock.ahead += 100
    assert rig.on_loop(rig.forwarding.is_idle_since) == pytest.approx(after, abs=5)


CONTROL = {
    "right": ("GET /-/views", "host: 127.0.0.1:{port}", 200),
    "a change": ("POST /-/views", "host: 127.0.0.1:{port}\r\ncontent-length: 0", 200),
    "its name": ("GET /-/views", "host: localhost:{port}", 200),
    "another host": ("GET /-/views", "host: evil.test:{port}", 421),
    "no host": ("GET /-/views", "x: y", 421),
    "no port": ("GET /-/views", "host: 127.0.0.1", 421),
    "two hosts": ("GET /-/views", "host: 127.0.0.1:{port}\r\nhost: 127.0.0.1:{port}", 400),
    "a web page": ("GET /-/views", "host: 127.0.0.1:{port}\r\norigin: https://evil.test", 403),
    "a frame": ("GET /-/views", "host: 127.0.0.1:{port}\r\nsec-fetch-site: cross-site", 403),
    "another method": ("PUT /-/views", "host: 127.0.0.1:{port}", 405),
    "another path": ("GET /python/simple/", "host: 127.0.0.1:{port}", 404),
    "absolute": ("GET http://127.0.0.1:{port}/-/views", "host: 127.0.0.1:{port}", 407),
}


@pytest.mark.parametrize(("line", "headers", "status"), CONTROL.values(), ids=CONTROL.keys())
def test_the_agents_own_address(rig: Rig, line: str, headers: str, status: int) -> None:
    request = f"{line} HTTP/1.1\r\n{headers}\r\nconnection: close\r\n\r\n".format(port=rig.port)
    answer = raw.send(rig, request.encode())
    assert answer.status == status
    assert rig.controlled == (["/-/views"] if status == 200 else [])


def test_a_view_does_not_reach_the_agents_own_address(rig: Rig) -> None:
    """Neither by CONNECT nor by an absolute URL: a child must not open views."""
    view = rig.open()
    with pytest.raises(raw.Refused) as refused, raw.tunnel(rig, view, f"127.0.0.1:{rig.port}"):
        pass
    assert refused.value.answer.status == 403
    head = f"GET http://127.0.0.1:{rig.port}/-/views HTTP/1.1\r\nhost: x\r\n{raw.login(view)}\r\n"
    assert raw.send(rig, head.encode()).status == 403
    assert not rig.controlled


@pytest.mark.parametrize("uids", [frozenset({0}), frozenset({12345})])
def test_another_users_processes_are_refused(
    net: Net, home: Home, site: Site, tmp_path, uids: frozenset[int]
) -> None:
    import os

    mine = os.getuid() in uids
    with forward(home, net, tmp_path, site.index(), allowed_uids=uids) as rig:
        view = rig.open()
        connect = f"CONNECT {TARGET} HTTP/1.1\r\nhost: x\r\n{raw.login(view)}\r\n".encode()
        with rig.connect() as connection:
            connection.sendall(connect)
            assert raw.read_head(connection).startswith(
                b"HTTP/1.1 200" if mine else b"HTTP/1.1 403"
            )
        plain = f"GET http://nowhere.test/ HTTP/1.1\r\nhost: x\r\n{raw.login(view)}\r\n".encode()
        assert (raw.send(rig, plain).status == 403) is not mine
        control = f"GET /-/x HTTP/1.1\r\nhost: 127.0.0.1:{rig.port}\r\nconnection: close\r\n\r\n"
        assert raw.send(rig, control.encode()).status == (200 if mine else 403)


LOCAL = ["localhost", "a.localhost", "LOCALHOST", "127.0.0.1", "127.1", "0.0.0.0", "0.1.2.3",
         "169.254.169.254", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[fe80::1]", "[::ffff:127.0.0.1]",
         "[::ffff:169.254.169.254]", "[64:ff9b::7f00:1]", "224.0.0.1", "[ff02::1]",
         "255.255.255.255", "2130706433", "0x7f000001"]  # fmt: skip


@pytest.mark.parametrize("host", LOCAL)
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "by a proxy"])
def test_no_tunnel_leads_back_into_this_machine(rig: Rig, host: str, direct: bool) -> None:
    view = rig.open(proxies={}) if direct else rig.open()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(raw.Refused) as refused, raw.tunnel(rig, view, f"{host}:{port}"):
            pass
        assert refused.value.answer.status == 403
        head = f"GET http://{host}:{port}/ HTTP/1.1\r\nhost: x\r\n{raw.login(view)}\r\n"
        assert raw.send(rig, head.encode()).status == 403
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("host", ["evil.test", "index.firm.test:8443", "pypi.test"])
def test_inside_a_tunnel_only_its_own_host_is_served(rig: Rig, site: Site, host: str) -> None:
    view = rig.open()
    with raw.secure(rig, view, TARGET) as tls:
        answer = raw.ask(tls, f"GET /python/firm-lib/ HTTP/1.1\r\nhost: {host}\r\n\r\n")
    assert answer.status == 421
    assert not site.crane.requests


@pytest.mark.parametrize(
    "line", ["GET https://pypi.test/simple/x/", "GET http://a.test/", "OPTIONS *"]
)
def test_inside_a_tunnel_only_paths_are_asked_for(rig: Rig, site: Site, line: str) -> None:
    with raw.secure(rig, rig.open(), TARGET) as tls:
        answer = raw.ask(tls, f"{line} HTTP/1.1\r\nhost: {PRIVATE_HOST}\r\n\r\n")
    assert answer.status == 400
    assert not site.crane.requests


def test_spellings_of_the_opened_host(rig: Rig, site: Site) -> None:
    """Upper case, a dot at the end and the default port name the same host."""
    site.add_private("firm-lib")
    view = rig.open()
    for spelled in ("INDEX.Firm.Test", "index.firm.test."):
        with raw.secure(rig, view, f"{spelled}:443", name=PRIVATE_HOST) as tls:
            head = f"GET /python/firm-lib/ HTTP/1.1\r\nhost: {spelled}:443\r\n"
            answer = raw.ask(tls, f"{head}connection: close\r\n\r\n")
        assert answer.status == 200


def test_tls_that_begins_before_the_tunnel_stands_is_refused(rig: Rig) -> None:
    with (
        pytest.raises(raw.Refused) as refused,
        raw.tunnel(rig, rig.open(), TARGET, early=b"\x16\x03\x01"),
    ):
        pass
    assert refused.value.answer.status == 400


def test_plain_http_goes_to_its_host(rig: Rig, site: Site, net: Net) -> None:
    """By the child's own proxy, without our secret, and with the headers of the child."""
    app = Scripted({"/page": whole(200, b"plain text", "text/plain", etag='"1"')})
    with serve_in_thread(app) as local:
        net.places["plain.test:80"] = int(local.rpartition(":")[2])
        view = rig.open(proxies={"http": net.url()})
        done = rig.run(view, "curl", "-sS", "-i", "http://plain.test/page", "-H", "X-Mine: yes")
    assert done.stdout.startswith("HTTP/1.1 200 OK")
    assert done.stdout.endswith("plain text")
    assert 'etag: "1"' in done.stdout
    (_, _, headers) = app.requests[0]
    assert headers["x-mine"] == "yes"
    assert headers["host"] == "plain.test"
    assert "curl" in headers["user-agent"]
    assert not any("authorization" in name for name in headers)


def test_a_registered_index_over_plain_http(net: Net, site: Site, home: Home, tmp_path) -> None:
    """It comes as an absolute URL, and gets its token as over TLS; its links are its own."""
    site.add_private("firm-lib")
    with serve_in_thread(site.crane) as url:
        index = site.index(url=f"{url}/python", fallback="none")
        home.login(index)
        with forward(home, net, tmp_path, index) as rig:
            view = rig.open(proxies={})
            assert view.origins == (url,)
            head = "HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
            line = f"GET {url}/python/firm-lib/ {head}{raw.login(view)}\r\n"
            answer = raw.send(rig, line.encode())
            assert answer.status == 200
            assert f"{url}/python/firm-lib/firm_lib-1.0-py3-none-any.whl".encode() in answer.body
            post = f"POST {url}/python/x/y {head}{raw.login(view)}content-length: 1\r\n\r\nx"
            raw.send(rig, post.encode())
            assert raw.send(rig, f"GET {url}/python/firm-lib/ {head}\r\n".encode()).status == 407
            other = rig.open(indexes=(), proxies={})
            line = f"GET {url}/python/firm-lib/ {head}{raw.login(other)}\r\n"
            assert raw.send(rig, line.encode()).status == 403
    seen = [(r.method, r.header("authorization")) for r in site.crane.requests]
    assert {method for method, _ in seen} == {"GET", "POST"}
    assert all(login and login.startswith("Bearer ") for _, login in seen)


def test_a_tunnel_that_breaks_unforeseen_does_not_hang(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(front_module, "connect", broken)
    view = rig.open()
    request = f"CONNECT far.test:443 HTTP/1.1\r\nhost: x\r\n{raw.login(view)}\r\n"
    assert raw.send(rig, request.encode()).data == b""
    assert rig.problems() == ["the tunnel broke: ZeroDivisionError"]
