"""CONNECT and absolute URLs as a way to what listens on this machine, or to a cloud's secrets."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest
from forward import raw
from forward.net import listening
from forward.rig import PRIVATE_HOST, Rig, Site

from crane_core.gateway.front import HEAD_SECONDS
from crane_core.gateway.targets import TargetRefused, resolve
from crane_core.urls import Origin

TARGET = f"{PRIVATE_HOST}:443"
# Beside those of forward/test_front.py: each leads here, or to a metadata service, for somebody.
SPELLINGS = [
    # inet_aton(3): octal, hexadecimal, fewer parts; by whoever reads them so, as a firm's proxy.
    "0177.0.0.1", "0x7f.1", "0x7F.0x0.0x0.0x1", "127.1", "127.0.1", "2130706433", "017700000001",
    "0x7f000001", "0", "0x0", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376",
    # A dot at the end is the root of DNS, and of nothing else.
    "127.0.0.1.", "localhost.", "LocalHost.", "x.localhost.", "169.254.169.254.", "2130706433.",
    # IPv4 inside of IPv6: mapped, compatible, translated, 6to4, NAT64 of both kinds, Teredo.
    "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::127.0.0.1]", "[2001:0:0:0:0:0:80ff:fffe]",
    # Scopes and leftovers of IPv6.
    "[fe80::1%25lo]", "[fe80::1%lo]", "[::1%25lo]", "fe80::1%lo", "[fec0::1]", "[::]", "::1", "::",
    # The rest of "this network", and what is for many machines, of which this may be one.
    "0.1.2.3", "[::0.1.2.3]", "255.255.255.255", "224.0.0.251", "[ff02::1]",
    # Clouds' services that have no link-local address: Amazon, Google, Alibaba, Azure, Oracle.
    "[fd00:ec2::254]", "[fd20:ce::254]", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "metadata.google.internal", "metadata.google.internal.", "instance-data.ec2.internal",
    # Names that systems give themselves in /etc/hosts.
    "ip6-localhost", "ip6-loopback", "localhost.localdomain", "localhost6",
]  # fmt: skip


@pytest.fixture
def service(rig: Rig, site: Site) -> Iterator[tuple[int, list[bytes]]]:
    """Give a service of this machine, which the firm's proxy would reach under every name."""
    heard: list[bytes] = []

    def note(connection: socket.socket) -> None:
        heard.append(connection.recv(65536))

    with listening(note) as port:
        for host in SPELLINGS:
            for place in (host, host.lower().rstrip("."), host.rstrip(".")):
                site.net.places[f"{place}:{port}"] = port
                site.net.places[f"{place.strip('[]')}:{port}"] = port
        yield port, heard


def test_no_spelling_leads_into_this_machine(rig: Rig, service: tuple[int, list[bytes]]) -> None:
    """Neither straight nor by a firm's proxy, which may be on this machine, too."""
    port, heard = service
    led = []
    proxy = rig.net.url()
    for view in (rig.open(proxies={}), rig.open(proxies={"http": proxy, "https": proxy})):
        login = raw.login(view)
        for host in SPELLINGS:
            for line in (f"CONNECT {host}:{port}", f"GET http://{host}:{port}/"):
                request = f"{line} HTTP/1.1\r\nhost: x\r\n{login}connection: close\r\n\r\n"
                answer = raw.send(rig, request.encode("latin-1"))
                if answer.status not in {400, 403}:
                    led.append((line, answer.status_line))
    assert led == []
    assert heard == []


ODD = [
    "CONNECT http://{target}", "CONNECT https://{target}/", "CONNECT //{target}",
    "CONNECT {target}/", "CONNECT {target}#x", "CONNECT {target}?x", "CONNECT @{target}",
    "CONNECT crane:{secret}@{target}", "CONNECT 127.0.0.1:{port}@{target}",
    "CONNECT {target}@127.0.0.1:{port}", "CONNECT {target}:{port}", "CONNECT {target},x:1",
    "CONNECT {target}%00:{port}", "CONNECT 127.0.0.1%00{target}", "CONNECT {target}\\@x:1",
    "CONNECT ①②⑦.⓪.⓪.①:{port}", "CONNECT localhost%2e:{port}",
    "CONNECT \N{FULLWIDTH LATIN SMALL LETTER L}ocalhost:{port}",
    "GET http://crane:{secret}@127.0.0.1:{port}/", "GET http://x@{target}/",
    "GET http://127.0.0.1:{port}\\@{target}/", "GET http://{target}@127.0.0.1:{port}/",
    "GET https://127.0.0.1:{port}/", "GET ftp://127.0.0.1:{port}/", "GET file:///etc/passwd",
    "GET https://{target}/", "GET ftp://{target}/",
    "GET gopher://127.0.0.1:{port}/x", "GET http:127.0.0.1:{port}/", "GET http:///127.0.0.1/",
    "GET unix:///var/run/docker.sock",
]  # fmt: skip


def test_odd_forms_are_refused(rig: Rig, site: Site, service: tuple[int, list[bytes]]) -> None:
    """Absolute forms for CONNECT, logins where none belong, and schemes of other kinds."""
    view, (port, heard) = rig.open(), service
    secret = view.secret.reveal()
    for line in ODD:
        shown = line.format(target=TARGET, port=port, secret=secret)
        request = f"{shown} HTTP/1.1\r\nhost: x\r\n{raw.login(view)}connection: close\r\n\r\n"
        answer = raw.send(rig, request.encode())
        assert answer.status in {400, 403, 404, 421}, (shown, answer.head)
        assert secret.encode() not in answer.data
        assert (heard, list(site.crane.requests), site.net.targets) == ([], [], []), shown


def test_heads_that_are_too_large_cost_little(rig: Rig, site: Site) -> None:
    """Many fields, one long one, a long target, and one that never ends: 400 or the end."""
    view = rig.open()
    begun = f"CONNECT {TARGET} HTTP/1.1\r\nhost: {TARGET}\r\n{raw.login(view)}".encode()
    for head in (
        begun + b"a: " + b"b" * 20_000 + b"\r\n\r\n",
        begun + b"a: b\r\n" * 200_000 + b"\r\n",
        begun + b"a: " + b"b" * 4_000_000 + b"\r\n\r\n",
        begun + b"b" * 4_000_000,
        f"CONNECT {'a' * 100_000}.test:443 HTTP/1.1\r\n\r\n".encode(),
        f"CONNECT {'a' * 4_000_000}".encode(),
        f"GET http://{'a' * 4_000_000}/ HTTP/1.1\r\n\r\n".encode(),
        b"C" * 4_000_000,
    ):
        began = time.monotonic()
        assert raw.send(rig, head).status in {0, 400}
        # Not only when its time is over.
        assert time.monotonic() - began < HEAD_SECONDS / 2
    with raw.tunnel(rig, view, TARGET):
        pass
    assert site.net.targets == []


def test_a_login_of_another_view_is_no_second_one(rig: Rig, site: Site) -> None:
    """Beside the right one, in another field, or for another scheme, it opens nothing."""
    mine, other = rig.open(), rig.open(indexes=())
    site.add_private("firm-lib")
    mine_line, other_line = raw.login(mine), raw.login(other)
    for fields in (
        mine_line + other_line,
        other_line + mine_line,
        mine_line.replace("proxy-", "").replace("\r\n", ", ") + other_line,
        mine_line.replace("Basic ", "Basic  "),
        mine_line.rstrip() + ", " + other_line.partition(": ")[2],
        mine_line.replace("\r\n", " \t\r\n").replace("Basic", "Digest"),
    ):
        for line in (f"CONNECT {TARGET}", "GET http://plain.test/"):
            head = f"{line} HTTP/1.1\r\nhost: x\r\n{fields}connection: close\r\n\r\n"
            answer = raw.send(rig, head.encode())
            assert answer.status in {400, 407}, (fields, answer.head)
    assert not site.crane.requests


def test_names_that_resolve_to_what_stands_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def ask(address: str) -> None:
        async def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        await resolve(Origin("https", "rebind.test", 443))

    refused = (
        "::127.0.0.1 2002:7f00:1:: 64:ff9b:1::a9fe:a9fe fd00:ec2::254 ::ffff:0:7f00:1 "
        "100.100.100.200 fec0::1 2001::80ff:fffe"
    )
    for address in refused.split():
        with pytest.raises(TargetRefused):
            asyncio.run(ask(address))
    for address in ("10.1.2.3", "100.64.0.1", "2002:808:808::1", "fd12::1", "2606:4700::1111"):
        asyncio.run(ask(address))
