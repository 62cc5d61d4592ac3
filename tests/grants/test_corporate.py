"""Corporate networks: private CAs, client certificates, wrong clocks, proxies."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from grants.corporate import (
    Authority,
    connect_proxy,
    new_authority,
    secure_index,
    server_context,
)
from grants.kit import index_at, logging_in, register
from idp.oidc import Idp, Realm, RealmSpec, Tls, approve_authorization, start_idp
from support.world import User

from crane_devserver.crane import CraneServer
from crane_devserver.running import serve_in_thread

pytestmark = pytest.mark.xdist_group("corporate")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Give a private CA."""
    return new_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Tls:
    """Give the certificate of every server here."""
    return authority.server()


@pytest.fixture(scope="module")
def secure(certificate: Tls) -> Iterator[Idp]:
    """Give a provider over TLS."""
    with start_idp([RealmSpec("keycloak")], tls=certificate, host="localhost") as idp:
        yield idp


@pytest.fixture
def realm(secure: Idp) -> Realm:
    """Give the realm of that provider."""
    secure.reset()
    return secure["keycloak"]


@pytest.fixture
def index(realm: Realm, certificate: Tls, tmp_path: Path) -> Iterator[tuple[str, CraneServer]]:
    """Give an index over TLS, by URL and server."""
    with secure_index(tmp_path / "files", realm, certificate) as found:
        yield found


def log_in(user: User, realm: Realm, **environ: str) -> None:
    """Log in, with the test as the browser, which trusts the CA."""
    with logging_in(user, **environ) as login:
        approve_authorization(login.url, verify=realm.verify)
        ended = login.end()
    assert ended.code == 0, ended.err


def download(user: User, into: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Download the private package through crane and pip."""
    return user.crane("pip", "download", "firm-lib", "--no-deps", "-d", str(into), **environ)


def test_a_private_ca_per_index(
    user: User, realm: Realm, authority: Authority, index: tuple[str, CraneServer], tmp_path: Path
) -> None:
    """`--ca-file` serves registration, login, refresh, download and logout."""
    url, _ = index
    ca = ("--ca-file", authority.file)
    user.crane("index", "register", url, "--name", "firm", "--yes", "--fallback", "none", *ca,
               check=True)  # fmt: skip
    log_in(user, realm)
    done = download(user, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 1
    assert user.crane("logout", check=True).stderr == ""
    assert realm.requests("revocation")


def test_a_private_ca_of_the_environment(
    user: User, realm: Realm, authority: Authority, index: tuple[str, CraneServer], tmp_path: Path
) -> None:
    """`SSL_CERT_FILE`, as other tools have it."""
    url, _ = index
    trust = {"SSL_CERT_FILE": authority.file}
    user.crane("index", "register", url, "--name", "firm", "--yes", "--fallback", "none",
               check=True, **trust)  # fmt: skip
    log_in(user, realm, **trust)
    assert download(user, tmp_path / "out", **trust).returncode == 0


def test_a_ca_that_nobody_trusts(user: User, realm: Realm, index: tuple[str, CraneServer]) -> None:
    """Nothing is sent, the reason is said in one line, for the index and for the provider."""
    url, server = index
    done = user.crane("index", "register", url, "--yes")
    assert done.returncode == 20
    assert "is not trusted" in done.stderr
    register(user, index_at(realm, url=url))
    done = user.crane("login")
    assert done.returncode == 14
    assert "is not trusted" in done.stderr
    assert done.stderr.count("\n") == 1
    assert [r for r in realm.requests() if r.endpoint != "jwks"] == []  # the index asks for that
    assert list(server.requests) == []


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_ca_file_that_is_unusable(
    user: User, realm: Realm, tmp_path: Path, content: str | None
) -> None:
    """Exit code 3 before anything is asked, never a connection without it."""
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    register(user, index_at(realm, ca_file=str(tmp_path / "ca.pem")))
    done = user.crane("login")
    assert done.returncode == 3
    assert "check ca-file" in done.stderr


def test_a_certificate_for_another_host(user: User, authority: Authority, tmp_path: Path) -> None:
    """A CA that is trusted does not make every name right."""
    tls = files_of(authority, tmp_path, "elsewhere.example")
    with serve_in_thread(_nothing, ssl=server_context(tls), url_host="localhost") as url:
        register(user, index_at_url(url, ca_file=authority.file))
        done = user.crane("login")
    assert done.returncode == 14
    assert "is not trusted" in done.stderr


@pytest.mark.parametrize(("start", "end"), [(1, 2), (-2, -1)], ids=["not yet valid", "expired"])
def test_a_certificate_outside_its_dates(
    user: User, authority: Authority, tmp_path: Path, start: int, end: int
) -> None:
    """Most often this machine's clock: exit code 19 and what to compare, from both servers."""
    now = datetime.now(UTC)
    dates = {"not_before": now + timedelta(days=start), "not_after": now + timedelta(days=end)}
    tls = files_of(authority, tmp_path, "localhost", **dates)
    with serve_in_thread(_nothing, ssl=server_context(tls), url_host="localhost") as url:
        ca = ("--ca-file", authority.file)
        registering = user.crane("index", "register", f"{url}/python", "--yes", *ca)
        register(user, index_at_url(url, ca_file=authority.file))
        login = user.crane("login")
    for done in (registering, login):
        assert done.returncode == 19
        assert "date and time" in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_client_certificate_per_index(
    user: User, realm: Realm, authority: Authority, certificate: Tls, tmp_path: Path
) -> None:
    """An index that demands mutual TLS gets it; without it nobody comes in."""
    shown, key = authority.client()
    with secure_index(tmp_path / "files", realm, certificate, client_ca=authority.file) as (url, _):
        known: dict[str, Any] = {"url": url, "ca_file": authority.file, "fallback": "none"}
        register(user, index_at(realm, **known))
        log_in(user, realm)
        assert download(user, tmp_path / "out").returncode != 0
        both = {"client_certificate": shown, "client_certificate_key": key}
        register(user, index_at(realm, **known, **both))
        done = download(user, tmp_path / "out")
        assert done.returncode == 0, done.stderr


def test_a_client_certificate_with_its_key_in_one_file(
    user: User, realm: Realm, authority: Authority, certificate: Tls, tmp_path: Path
) -> None:
    """As `client-certificate` alone; the registration finds the issuer over mutual TLS too."""
    shown, key = authority.client()
    both = tmp_path / "both.pem"
    both.write_text(Path(shown).read_text() + Path(key).read_text())
    with secure_index(tmp_path / "files", realm, certificate, client_ca=authority.file) as (url, _):
        options = ("--ca-file", authority.file, "--client-certificate", str(both))
        done = user.crane("index", "register", url, "--yes", *options)
        assert done.returncode == 0, done.stderr
        assert realm.issuer in done.stderr


def test_a_proxy_for_index_and_provider(
    user: User, realm: Realm, authority: Authority, index: tuple[str, CraneServer], tmp_path: Path
) -> None:
    """`HTTPS_PROXY` is on the way to both, and only tunnels: it sees names and no token."""
    url, _ = index
    register(user, index_at(realm, url=url, ca_file=authority.file, fallback="none"))
    with connect_proxy() as proxy:
        through = {"HTTPS_PROXY": proxy.url(), "HTTP_PROXY": proxy.url()}
        log_in(user, realm, **through)
        provider = str(httpx2.URL(realm.issuer).netloc.decode())
        assert set(proxy.targets) == {provider}
        proxy.targets.clear()
        done = download(user, tmp_path / "out", **through)
        assert done.returncode == 0, done.stderr
        assert set(proxy.targets) == {httpx2.URL(url).netloc.decode()}
    # pip's way to the local gateway must not lead through the proxy, nor must a token.
    assert {request.split()[0] for request in proxy.requests} == {"CONNECT"}


def test_a_proxy_with_a_password(user: User, realm: Realm, authority: Authority) -> None:
    """The login in the proxy's URL is sent to the proxy, and shown to nobody."""
    register(user, index_at(realm, ca_file=authority.file))
    with connect_proxy("ada:p@ss word") as proxy:
        log_in(user, realm, HTTPS_PROXY=proxy.url("ada:p%40ss%20word@"))
        assert proxy.refused == 0
        assert proxy.targets
        done = user.crane("login", "--force", HTTPS_PROXY=proxy.url("ada:wrong-word@"))
    assert done.returncode == 14
    assert "407" in done.stderr
    assert "wrong-word" not in done.stderr


def test_a_proxy_that_is_down(user: User, realm: Realm, authority: Authority) -> None:
    """Exit code 14; crane does not go around it."""
    register(user, index_at(realm, ca_file=authority.file))
    done = user.crane("login", HTTPS_PROXY="http://127.0.0.1:9")
    assert done.returncode == 14
    assert realm.requests() == []


@pytest.mark.parametrize("hosts", ["localhost", "example.com, localhost ", "*"])
def test_no_proxy(user: User, realm: Realm, authority: Authority, hosts: str) -> None:
    """Hosts that the proxy is not for."""
    register(user, index_at(realm, ca_file=authority.file))
    with connect_proxy() as proxy:
        log_in(user, realm, HTTPS_PROXY=proxy.url(), NO_PROXY=hosts)
    assert proxy.requests == []


def test_no_password_file_is_read(user: User, realm: Realm, authority: Authority) -> None:
    """`~/.netrc` is for other programs: its login must not reach the provider."""
    netrc = user.home / ".netrc"
    netrc.write_text("default login ada password from-netrc\n")
    netrc.chmod(0o600)
    register(user, index_at(realm, ca_file=authority.file))
    log_in(user, realm, NETRC=str(netrc))
    assert {r.auth for r in realm.requests("token")} == {"none"}


def test_a_downgrade_of_an_endpoint(user: User, realm: Realm, authority: Authority) -> None:
    """https metadata that name a plain http endpoint elsewhere: refused, exit code 7."""
    realm.patch({"token_endpoint": "http://sso.example/token"}, endpoint="discovery", times=None)
    register(user, index_at(realm, ca_file=authority.file))
    done = user.crane("login", "--json")
    assert done.returncode == 7
    assert json.loads(done.stdout)["errors"][0]["code"] == "insecure-url"


def index_at_url(url: str, **settings: Any) -> Any:
    """Return a registration whose provider is at this URL."""
    from crane_core.config.model import Index

    return Index("firm", f"{url}/python", issuer=url, **settings)


def files_of(authority: Authority, folder: Path, host: str, **dates: datetime) -> Tls:
    """Return files of a certificate for this host and these dates."""
    issued = authority.ca.issue_cert(host, **dates)
    tls = Tls(folder / "odd.pem", folder / "odd.key", Path(authority.file))
    issued.private_key_pem.write_to_path(tls.key)
    issued.cert_chain_pems[0].write_to_path(tls.cert)
    return tls


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})
