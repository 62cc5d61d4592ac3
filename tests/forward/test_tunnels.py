"""Blind tunnels: byte for byte to the host itself, directly or by the child's own proxy."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from forward import raw
from forward.net import Net, listening, small_net
from forward.rig import PRIVATE_HOST, PUBLIC_HOST, Rig, Site, forward
from gateway.harness import LIMIT, Home
from gateway.tools import until

BLIND = "far.test"
MEBIBYTE = 1 << 20


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


@pytest.fixture
def far(net: Net) -> Iterator[str]:
    """Give a host that sends back what it gets."""
    with listening(echo) as port:
        net.places[f"{BLIND}:443"] = port
        yield f"{BLIND}:443"


def test_bytes_pass_both_ways_as_they_are(rig: Rig, far: str) -> None:
    """Ten megabytes of noise, with a half-closed connection at the end."""
    noise = os.urandom(10 * MEBIBYTE)
    with raw.tunnel(rig, rig.open(), far) as connection:
        sender = threading.Thread(
            target=lambda: (connection.sendall(noise), connection.shutdown(socket.SHUT_WR))
        )
        sender.start()
        received = raw.read_all(connection)
        sender.join()
    assert hashlib.sha256(received).digest() == hashlib.sha256(noise).digest()


def test_bytes_that_come_with_the_connect_are_not_lost(rig: Rig, far: str) -> None:
    with raw.tunnel(rig, rig.open(), far, early=b"early") as connection:
        connection.sendall(b" and late")
        connection.shutdown(socket.SHUT_WR)
        assert raw.read_all(connection) == b"early and late"


def test_who_does_not_read_is_waited_for(rig: Rig, net: Net) -> None:
    """What the gateway holds for a slow child stays small, and nothing is lost."""
    sent = 0
    pushed = threading.Event()

    def push(connection: socket.socket) -> None:
        nonlocal sent
        connection.settimeout(1.0)
        try:
            for _ in range(400):
                connection.sendall(bytes(MEBIBYTE))
                sent += MEBIBYTE
        except TimeoutError:
            pushed.set()
            return

    with listening(push) as port:
        net.places[f"{BLIND}:443"] = port
        with raw.tunnel(rig, rig.open(), f"{BLIND}:443"):
            assert pushed.wait(LIMIT)
    assert sent < 40 * MEBIBYTE  # the kernel's own buffers on three connections


@pytest.mark.parametrize("side", ["far", "near"])
def test_an_end_that_breaks_off_ends_the_other(rig: Rig, net: Net, side: str) -> None:
    ended, begun = threading.Event(), threading.Event()

    def far(connection: socket.socket) -> None:
        begun.set()
        if side == "near":
            with contextlib.suppress(ConnectionError):
                raw.read_all(connection)
            ended.set()
        else:
            connection.recv(1)  # the tunnel stands
            linger = b"\1\0\0\0\0\0\0\0"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    with listening(far) as port:
        net.places[f"{BLIND}:443"] = port
        with raw.tunnel(rig, rig.open(), f"{BLIND}:443") as connection:
            assert begun.wait(LIMIT)
            if side == "near":
                connection.close()
            else:
                connection.sendall(b"x")
                assert raw.read_all(connection) == b""
        assert side == "far" or ended.wait(LIMIT)


def certificate(connection: socket.socket, name: str, net: Net) -> tuple[bytes | None, str | None]:
    context = ssl.create_default_context(cafile=net.ca_file)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with context.wrap_socket(connection, server_hostname=name) as tls:
        return tls.getpeercert(binary_form=True), tls.selected_alpn_protocol()


def test_a_blind_tunnel_shows_the_hosts_own_certificate(rig: Rig, net: Net, site: Site) -> None:
    """The same as without crane, HTTP/2 included; the control is an opened host."""
    context = net.context(BLIND, alpn=("h2", "http/1.1"))

    def shake_hands(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1)

    view = rig.open()
    with listening(shake_hands) as port:
        net.places[f"{BLIND}:443"] = port
        with socket.create_connection(("127.0.0.1", port)) as straight:
            direct = certificate(straight, BLIND, net)
        with raw.tunnel(rig, view, f"{BLIND}:443") as connection:
            assert certificate(connection, BLIND, net) == direct
    assert direct[1] == "h2"
    with raw.tunnel(rig, view, f"{PRIVATE_HOST}:443") as connection, pytest.raises(ssl.SSLError):
        certificate(connection, PRIVATE_HOST, net)
    # The same host at another port is not opened, nor is an index of another view.
    net.places[f"{PRIVATE_HOST}:8443"] = net.places[f"{PRIVATE_HOST}:443"]
    with raw.tunnel(rig, view, f"{PRIVATE_HOST}:8443") as connection:
        assert certificate(connection, PRIVATE_HOST, net)[0]


def test_160_connections_at_once(rig: Rig, site: Site, far: str) -> None:
    """As uv opens them: all stand at the same time, half opened and half blind."""
    site.add_private("firm-lib")
    view, count = rig.open(), 160
    together = threading.Barrier(count)

    context = rig.context(view)

    def blind() -> bool:
        with raw.tunnel(rig, view, far) as connection:
            together.wait(60)
            connection.sendall(b"x" * 1000)
            connection.shutdown(socket.SHUT_WR)
            return raw.read_all(connection) == b"x" * 1000

    def opened() -> bool:
        with raw.secure(rig, view, f"{PRIVATE_HOST}:443", context=context) as tls:
            together.wait(60)
            head = f"GET /python/firm-lib/ HTTP/1.1\r\nhost: {PRIVATE_HOST}\r\n"
            answer = raw.ask(tls, f"{head}connection: close\r\n\r\n")
            return answer.status == 200 and b"firm_lib-1.0" in answer.body

    def one(number: int) -> bool:
        try:
            return blind() if number % 2 else opened()
        except BaseException:
            together.abort()  # so that the others need not wait for this one
            raise

    with ThreadPoolExecutor(count) as pool:
        assert all(pool.map(one, range(count)))


LOGIN = "ada:pass%20word%3A"


@pytest.mark.parametrize("tls", [False, True], ids=["http proxy", "https proxy"])
@pytest.mark.parametrize("right", [True, False], ids=["right login", "wrong login"])
def test_a_firms_own_proxy_is_chained(
    rig: Rig, net: Net, site: Site, far: str, tmp_path, tls: bool, right: bool, monkeypatch
) -> None:
    """The child's proxy, with Basic; its refusal is said by its name."""
    with small_net(tmp_path / "firm", login="ada:pass word:", tls=tls) as firm:
        firm.places.update(net.places)
        monkeypatch.setenv("SSL_CERT_FILE", firm.ca_file)
        proxy = firm.url(f"{LOGIN if right else 'ada:wrong'}@")
        view = rig.open(proxies={"https": proxy, "no": "elsewhere.test"})
        if right:
            with raw.tunnel(rig, view, far) as connection:
                connection.sendall(b"hello")
                assert connection.recv(5) == b"hello"
        else:
            with pytest.raises(raw.Refused) as refused, raw.tunnel(rig, view, far):
                pass
            answer = refused.value.answer
            assert answer.status == 504
            assert f":{firm.port} refused {BLIND} (HTTP 407" in answer.status_line
            assert "ada" not in answer.data.decode()
        assert firm.targets == ([far] if right else [])
        assert firm.refused == (0 if right else 1)
    assert far not in net.targets


def own_address() -> str:
    """Return an address of this machine that is not loopback; a test that has none is skipped."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            found = probe.getsockname()[0]
        except OSError:
            found = ""
    if not found or found.startswith("127."):
        addresses = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False)
        found = next(iter(addresses.stdout.split()), "")
    if not found:
        pytest.skip("this machine has no address but loopback")
    return found


@pytest.mark.parametrize(
    ("exempt", "is_direct"),
    [("{host}", True), ("{host}:{port}", True), ("{host}:1", False), ("*", True), ("", False)],
)
def test_no_proxy_is_read_as_the_childs_tools_read_it(
    rig: Rig, net: Net, exempt: str, is_direct: bool
) -> None:
    host = own_address()
    with listening(echo, host) as port:
        entry = exempt.format(host=host, port=port)
        view = rig.open(proxies={"https": net.url(), "no": entry})
        net.places[f"{host}:{port}"] = net.port  # never reached: not by the firm's proxy
        if is_direct:
            with raw.tunnel(rig, view, f"{host}:{port}") as connection:
                connection.sendall(b"hello")
                assert connection.recv(5) == b"hello"
        else:
            net.places.pop(f"{host}:{port}")
            with pytest.raises(raw.Refused) as refused, raw.tunnel(rig, view, f"{host}:{port}"):
                pass
            assert "502 No such host here" in refused.value.answer.status_line
    assert (f"{host}:{port}" in net.targets) is not is_direct


BAD = {
    "another protocol": (b"SSH-2.0-x\r\n\r\n", "not HTTP"),
    "nothing": (b"", "closed the connection"),
    "no end": (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000, "not HTTP"),
    "a refusal": (b"HTTP/1.1 403 Not from here\r\ncontent-length: 0\r\n\r\n", "403 Not from here"),
}


@pytest.mark.parametrize(("says", "reason"), BAD.values(), ids=BAD.keys())
def test_a_proxy_that_answers_badly_is_named(rig: Rig, says: bytes, reason: str) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(says)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)

    with listening(answer) as port:
        view = rig.open(proxies={"all": f"http://127.0.0.1:{port}"})
        with pytest.raises(raw.Refused) as refused, raw.tunnel(rig, view, "far.test:443"):
            pass
    assert refused.value.answer.status == 504
    assert reason in refused.value.answer.status_line
    assert f"127.0.0.1:{port}" in refused.value.answer.status_line


def test_what_a_proxy_sends_with_its_answer_is_the_tunnels(rig: Rig) -> None:
    """A length in the answer to CONNECT means nothing (RFC 9110 §9.3.6)."""

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello, world")
        raw.read_all(connection)

    with listening(answer) as port:
        view = rig.open(proxies={"https": f"http://127.0.0.1:{port}"})
        with raw.tunnel(rig, view, "far.test:443") as connection:
            connection.shutdown(socket.SHUT_WR)
            assert raw.read_all(connection) == b"hello, world"


def test_a_host_that_does_not_exist_is_named(rig: Rig) -> None:
    view = rig.open(proxies={})
    with pytest.raises(raw.Refused) as refused, raw.tunnel(rig, view, "no-such-host.invalid:443"):
        pass
    assert refused.value.answer.status == 504
    assert "no-such-host.invalid is not known here" in refused.value.answer.status_line


def test_a_name_that_leads_here_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither alone nor beside another address; what was looked at is what is connected to."""
    from crane_core.gateway.targets import TargetRefused, resolve
    from crane_core.urls import Origin

    async def ask(*addresses: str) -> list[str]:
        loop = asyncio.get_running_loop()

        async def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        return [str(info[4][0]) for info in await resolve(Origin("https", "rebind.test", 443))]

    assert asyncio.run(ask("192.0.2.1", "10.0.0.1")) == ["192.0.2.1", "10.0.0.1"]
    for bad in ("127.0.0.1", "::1", "169.254.169.254", "0.0.0.0", "fe80::1%lo", "::ffff:7f00:1"):
        for addresses in ([bad], ["192.0.2.1", bad]):
            with pytest.raises(TargetRefused, match=r"rebind\.test is at"):
                asyncio.run(ask(*addresses))


def test_a_socks_proxy_is_refused_at_once(rig: Rig) -> None:
    from crane_core.errors import UsageError

    with pytest.raises(UsageError, match="proxy variable"):
        rig.open(proxies={"all": "socks5://127.0.0.1:1080"})


def test_on_the_standard_librarys_loop(
    net: Net, site: Site, home: Home, tmp_path, far: str
) -> None:
    """Windows has no uvloop."""
    site.add_private("firm-lib")
    index = site.index()
    home.login(index)
    with forward(home, net, tmp_path, index, runner=asyncio.run) as rig:
        view = rig.open()
        assert raw.get(rig, view, f"{site.index_url}/firm-lib/").status == 200
        with raw.tunnel(rig, view, far) as connection:
            connection.sendall(b"hello")
            connection.shutdown(socket.SHUT_WR)
            assert raw.read_all(connection) == b"hello"


def test_the_gateway_ends_with_tunnels_open(
    net: Net, site: Site, home: Home, tmp_path, far
) -> None:
    with forward(home, net, tmp_path, site.index()) as rig:
        view = rig.open()
        connections = contextlib.ExitStack()
        blind = connections.enter_context(raw.tunnel(rig, view, far))
        opened = connections.enter_context(raw.secure(rig, view, f"{PUBLIC_HOST}:443"))
    with connections:
        assert raw.read_all(blind) == b""
        assert raw.read_all(opened) == b""


def test_connections_are_forgotten_when_they_end(rig: Rig, far: str) -> None:
    view = rig.open()
    (known,) = rig.on_loop(lambda: list(rig.forwarding.views._views.values()))  # type: ignore[attr-defined]
    for _ in range(5):
        with raw.tunnel(rig, view, far):
            pass
        with raw.secure(rig, view, f"{PRIVATE_HOST}:443"):
            pass
    until(lambda: not rig.on_loop(lambda: len(known.connections)), "no connection is remembered")


def test_a_view_that_is_closed_while_a_tunnel_is_built(rig: Rig) -> None:
    """The tunnel never stands."""
    asked, may_answer = threading.Event(), threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        asked.set()
        may_answer.wait(LIMIT)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
        raw.read_all(connection)

    with listening(answer) as port, rig.connect() as connection:
        view = rig.open(proxies={"https": f"http://127.0.0.1:{port}"})
        connection.sendall(
            f"CONNECT {BLIND}:443 HTTP/1.1\r\nhost: x\r\n{raw.login(view)}\r\n".encode()
        )
        assert asked.wait(LIMIT)
        rig.close(view)
        may_answer.set()
        assert b"hello" not in raw.read_all(connection)
