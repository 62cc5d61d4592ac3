"""Whom a connection to an index trusts, what it shows, and through which proxy it goes."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from gateway.wire import (
    LIMITS,
    Firm,
    Listener,
    Reader,
    Writer,
    fetch,
    index_at,
    listening,
    page,
    port_of,
    proxying,
    refusing,
    reply,
    run,
    say,
    serving,
    upstream,
)

from crane_core.errors import ClockSkew, ConfigBroken, IndexUnreachable, UsageError
from crane_core.gateway.transports import Transports
from crane_core.http import new_client
from crane_core.proxies import environment_proxies
from crane_core.urls import origin_of

BOTH = pytest.mark.parametrize("ask", [page, fetch])
NOW = datetime.now(UTC)


@pytest.fixture
def firm(tmp_path: Path) -> Firm:
    """Give a private CA."""
    return Firm(tmp_path)


@BOTH
def test_a_private_ca_is_trusted_for_its_own_index_only(firm: Firm, ask: type) -> None:
    async def test() -> None:
        async with (
            listening(say(reply(b"own")), tls=firm.server()) as own,
            listening(say(reply(b"other")), tls=firm.server()) as other,
            upstream() as client,
        ):
            index = index_at(own.url, ca_file=firm.ca_file)
            assert await ask(client, f"{index.url}/lib/", index) == b"own"
            for foreign in (index_at(other.url), None):
                with pytest.raises(IndexUnreachable, match="is not trusted"):
                    await ask(client, f"{other.url}/firm/lib/", foreign)
            assert other.requests == []

    run(test())


def test_a_file_elsewhere_is_fetched_with_the_trust_of_everybody(firm: Firm) -> None:
    """The index's private CA and client certificate do not go along with the redirect."""

    async def test() -> None:
        async with (
            listening(say(reply(b"")), tls=firm.server()) as elsewhere,
            listening(
                say(reply(b"", 302, location=f"{elsewhere.url}/a.whl")), tls=firm.server()
            ) as own,
            upstream() as client,
        ):
            index = index_at(own.url, ca_file=firm.ca_file)
            with pytest.raises(IndexUnreachable, match="is not trusted"):
                await fetch(client, f"{index.url}/a.whl", index)

    run(test())


@BOTH
def test_a_client_certificate_is_shown_to_its_own_index_only(
    firm: Firm, monkeypatch: pytest.MonkeyPatch, ask: type
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", firm.ca_file)
    shown: list[bool] = []

    async def handle(reader: Reader, writer: Writer) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            shown.append(bool(writer.get_extra_info("ssl_object").getpeercert()))
            writer.write(reply(b"x"))

    async def test() -> None:
        own, other = Listener(), Listener()
        async with (
            serving(own, handle, firm.server(client_ca=True)),
            serving(other, handle, firm.server(client_ca=True)),
            upstream() as client,
        ):
            index = index_at(own.url, client_certificate=firm.client_file())
            assert await ask(client, f"{index.url}/lib/", index)
            assert await ask(client, f"{other.url}/lib/", None)
            assert shown == [True, False]

    run(test())


@BOTH
@pytest.mark.parametrize(
    ("names", "start", "end", "reason", "error"),
    [
        (("elsewhere.example",), -1, 1, "Hostname mismatch", IndexUnreachable),
        (("localhost",), -2, -1, "certificate has expired", ClockSkew),
        (("localhost",), 1, 2, "certificate is not yet valid", ClockSkew),
    ],
    ids=["another host", "expired", "not yet valid"],
)
def test_why_a_certificate_is_not_trusted(
    firm: Firm,
    ask: type,
    names: tuple[str, ...],
    start: int,
    end: int,
    reason: str,
    error: type[Exception],
) -> None:
    dates = {
        "not_before": NOW + timedelta(days=start),
        "not_after": NOW + timedelta(days=end),
    }

    async def test() -> None:
        context = firm.server(*names, **dates)
        async with listening(say(reply(b"x")), tls=context) as site, upstream() as client:
            index = index_at(site.url, ca_file=firm.ca_file)
            with pytest.raises(error, match=f"{site.port} is not trusted .*{reason}"):
                await ask(client, f"{index.url}/lib/", index)

    run(test())


@BOTH
def test_a_server_that_speaks_no_tls(ask: type) -> None:
    async def handle(reader: Reader, writer: Writer) -> None:
        await reader.read(1)
        writer.write(reply(b"plain", 400))

    async def test() -> None:
        site = Listener()
        async with serving(site, handle), upstream() as client:
            with pytest.raises(IndexUnreachable, match=f"cannot connect to 127.0.0.1:{site.port}"):
                await ask(client, f"https://127.0.0.1:{site.port}/")
            assert site.connections == 1

    run(test())


def test_a_certificate_file_that_is_unusable(tmp_path: Path) -> None:
    async def test() -> None:
        async with upstream() as client:
            index = index_at("https://index.example", ca_file=str(tmp_path / "none.pem"))
            with pytest.raises(ConfigBroken):
                await fetch(client, f"{index.url}/a.whl", index)

    run(test())


def test_the_system_trust_is_read_once(firm: Firm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each connection: with OpenSSL before 3.4 it takes longer each time."""
    monkeypatch.setenv("SSL_CERT_FILE", firm.ca_file)
    reads = 0

    class Counting(ssl.SSLContext):
        def set_default_verify_paths(self) -> None:
            nonlocal reads
            reads += 1
            super().set_default_verify_paths()

    monkeypatch.setattr(ssl, "SSLContext", Counting)

    async def test() -> None:
        async with listening(say(reply(b"x")), tls=firm.server()) as site, upstream() as client:
            await asyncio.gather(*(fetch(client, f"{site.url}/{n}") for n in range(5)))
            assert site.connections == 5
            assert reads == 1

    if os.name == "posix":
        run(test())


LOGIN = "Basic " + base64.b64encode("ada:p@ss wörd".encode()).decode()
WRITTEN = "ada:p%40ss%20w%C3%B6rd@"


@BOTH
@pytest.mark.parametrize("login", ["", LOGIN])
def test_a_proxy_tunnels_https_and_sees_no_token(
    firm: Firm, monkeypatch: pytest.MonkeyPatch, ask: type, login: str
) -> None:
    async def test() -> None:
        async with (
            listening(say(reply(b"x")), tls=firm.server()) as site,
            proxying(login=login.lower()) as proxy,
        ):
            user = WRITTEN if login else ""
            monkeypatch.setenv("HTTPS_PROXY", f"http://{user}127.0.0.1:{proxy.port}")
            async with upstream() as client:
                index = index_at(site.url, ca_file=firm.ca_file)
                assert await ask(client, f"{index.url}/lib/", index) == b"x"
            assert proxy.lines[0] == f"CONNECT localhost:{site.port} HTTP/1.1"
            assert b"token-1" not in b"".join(proxy.requests)
            assert b"proxy-authorization" not in b"".join(site.requests).lower()
            assert b"aiohttp" not in b"".join(proxy.requests).lower()

    run(test())


@BOTH
def test_a_proxy_carries_plain_http(monkeypatch: pytest.MonkeyPatch, ask: type) -> None:
    async def test() -> None:
        async with proxying(login=LOGIN.lower()) as proxy:
            monkeypatch.setenv("http_proxy", f"{WRITTEN}127.0.0.1:{proxy.port}")
            async with upstream() as client:
                for path in ("/%2f", "/b"):
                    assert await ask(client, f"http://index.example{path}") == b"of the proxy"
            assert proxy.targets == ["http://index.example/%2f", "http://index.example/b"]
            assert proxy.connections == 1

    run(test())


async def login(_: object, url: str) -> bytes:
    """Ask as for an identity provider, by httpx2."""
    async with new_client() as client:
        return (await client.get(url)).content


@pytest.mark.parametrize("ask", [page, fetch, login])
def test_a_socks_proxy_that_nothing_would_go_through_is_not_looked_at(
    monkeypatch: pytest.MonkeyPatch, ask: type
) -> None:
    """Desktops set all three."""

    async def test() -> None:
        async with proxying(login=LOGIN.lower()) as proxy:
            monkeypatch.setenv("http_proxy", f"{WRITTEN}127.0.0.1:{proxy.port}")
            monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
            monkeypatch.setenv("all_proxy", "socks://127.0.0.1:9")
            async with upstream() as client:
                assert await ask(client, "http://index.example/b") == b"of the proxy"
            assert proxy.targets == ["http://index.example/b"]

    run(test())


def test_one_that_plain_http_would_go_through_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "socks://127.0.0.1:9")
    with pytest.raises(UsageError, match="proxy variable cannot be used"):
        new_client()


@BOTH
def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch, ask: type) -> None:
    """At once: another try has no other password."""

    async def test() -> None:
        async with proxying(login="basic other") as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://ada:secret@127.0.0.1:{proxy.port}")
            async with upstream() as client:
                with pytest.raises(IndexUnreachable, match=r"index\.example refused \(407") as no:
                    await ask(client, "https://index.example/a")
            assert "secret" not in no.value.line
            assert len(proxy.requests) == 1

    run(test())


@BOTH
def test_a_proxy_that_is_down_is_not_gone_around(
    monkeypatch: pytest.MonkeyPatch, ask: type
) -> None:
    async def test() -> None:
        with refusing() as held:
            monkeypatch.setenv("HTTP_PROXY", f"http://ada:secret@127.0.0.1:{port_of(held)}")
            async with listening(say(reply(b"x"))) as site, upstream() as client:
                with pytest.raises(IndexUnreachable, match="its proxy: Connection refused") as no:
                    await ask(client, site.url)
            assert "secret" not in no.value.line
            assert site.requests == []

    run(test())


@BOTH
def test_a_proxy_over_tls_is_shown_no_client_certificate(
    firm: Firm, monkeypatch: pytest.MonkeyPatch, ask: type
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", firm.ca_file)
    shown: list[object] = []

    async def handle(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        shown.append(writer.get_extra_info("ssl_object").getpeercert())

    async def test() -> None:
        proxy = Listener()
        async with serving(proxy, handle, firm.server(client_ca=True)):
            monkeypatch.setenv("HTTPS_PROXY", f"https://localhost:{proxy.port}")
            async with upstream(seconds=3) as client:
                index = index_at("https://localhost:9", client_certificate=firm.client_file())
                with pytest.raises(IndexUnreachable):
                    await ask(client, f"{index.url}/lib/", index)
        assert shown
        assert not any(shown)

    run(test())


@BOTH
def test_a_proxy_over_tls_tunnels(firm: Firm, monkeypatch: pytest.MonkeyPatch, ask: type) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", firm.ca_file)

    async def test() -> None:
        async with (
            listening(say(reply(b"x")), tls=firm.server()) as site,
            proxying(tls=firm.server()) as proxy,
        ):
            monkeypatch.setenv("ALL_PROXY", f"https://localhost:{proxy.port}")
            async with upstream() as client:
                assert await ask(client, f"{site.url}/lib/") == b"x"
            assert proxy.targets == [f"localhost:{site.port}"]

    run(test())


@pytest.mark.parametrize("url", ["socks5://a:secret@h:1", "http://a:secret@h:0x", "http://[secret"])
def test_a_proxy_variable_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Said in one line, before anything is sent, and without the password."""
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(UsageError, match="proxy variable cannot be used") as wrong:
        Transports(LIMITS, per_host=1)
    assert "secret" not in wrong.value.line


HOSTS = [
    "https://example.com", "https://www.example.com", "https://wwwexample.com",
    "https://example.com:8443", "http://example.com", "http://localhost:99",
    "https://a.localhost", "http://127.0.0.1:9", "https://10.1.2.3", "https://10.2.0.1",
    "https://[::1]", "https://[::1]:99", "https://[fe80::5]",
]  # fmt: skip
ENTRIES = [
    "", "*", "example.com", ".example.com", "*.example.com", "*example.com", "Example.COM",
    "example.com:8443", "example.com:443", "https://example.com", "http://example.com:80",
    "https://*example.com", "https://.example.com", "all://example.com", "com", "localhost",
    "LOCALHOST", "localhost:99", "127.0.0.1", "127.0.0.1:9", "127.1", "10.0.0.0/8", "10.1.0.0/16",
    "10.0.0.0/33", "10.0.0.0/255.0.0.0", "https://10.0.0.0/8", "::1", "[::1]", "[::1]:99",
    "https://[::1]", "fe80::/10", "[fe80::]/10", "example.com/x", "a b", "..", "https://", "all://",
    "[::1", "x.example, 10.1.2.3 ,example.com", "*,example.com",
]  # fmt: skip


@pytest.mark.parametrize("entries", ENTRIES)
@pytest.mark.parametrize(
    "variables",
    [
        {"http_proxy": "http://p:1", "https_proxy": "http://q:2"},
        {"HTTPS_PROXY": "q:2", "all_proxy": "http://r:3"},
        {"https_proxy": "http://q:2", "HTTPS_PROXY": "http://other:9"},
    ],
    ids=["two", "all", "lower case first"],
)
def test_the_environment_means_what_it_means_to_httpx2(
    monkeypatch: pytest.MonkeyPatch, entries: str, variables: dict[str, str]
) -> None:
    """The login goes through httpx2, the files do not: both must take the same way."""
    for name, value in {**variables, "no_proxy": entries}.items():
        monkeypatch.setenv(name, value)
    ours = environment_proxies()
    theirs = httpx2.AsyncClient()
    direct = theirs._transport
    for url in HOSTS:
        proxy = ours.before(origin_of(url))
        transport = theirs._transport_for_url(httpx2.URL(url))
        assert (proxy is None) == (transport is direct), url
        if proxy is not None:
            wanted = transport._pool._proxy_url  # type: ignore[attr-defined]
            assert proxy.url == f"http://{wanted.host.decode()}:{wanted.port}", url


def test_a_proxy_login_does_not_show_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:secret@proxy.example:3128")
    proxies = environment_proxies()
    assert proxies.before(origin_of("https://index.example")) is not None
    assert "secret" not in repr(proxies)
