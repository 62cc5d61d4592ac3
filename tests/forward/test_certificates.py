"""The view's CA: what it may vouch for, to whom, and for how long."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from filelock import FileLock
from forward import raw
from forward.net import Net
from forward.rig import PRIVATE_HOST, UV, Rig, Site, forward
from gateway.harness import Home
from gateway.tools import until
from support.pips import NEWEST, RUNNING, MakeEnvironment, Pip
from support.workers import shared_folder

from crane_core.gateway import authority as authority_module
from crane_core.gateway.authority import Authority

TARGET = f"{PRIVATE_HOST}:443"


@dataclass
class MovedClock:
    """A clock that a test moves."""

    ahead: float = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits here")


@contextmanager
def impostor(authority: Authority, name: str, folder: Path) -> Iterator[tuple[int, list[str]]]:
    """Serve TLS at 127.0.0.1 with a leaf of this CA for any name: what a stolen key could do.

    Yields the port and the list of requests that got through.
    """
    certificate, key = authority.issue(name)
    pem = folder / "impostor.pem"
    pem.write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    served: list[str] = []
    page = b"<a href='firm_lib-1.0-py3-none-any.whl'>x</a>"
    answer = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: "
        + str(len(page)).encode() + b"\r\n\r\n" + page
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(connection, server_side=True) as tls:
                        if request := tls.recv(65536):
                            served.append(request.split(b"\r\n")[0].decode())
                            tls.sendall(answer)
                except OSError:
                    continue

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield server.getsockname()[1], served
        finally:
            server.shutdown(socket.SHUT_RDWR)


GO = """package main
import ("fmt"; "io"; "net/http"; "os")
func main() {
  answer, err := http.Get(os.Args[1])
  if err != nil { fmt.Println(err); os.Exit(1) }
  body, _ := io.ReadAll(answer.Body)
  fmt.Printf("%d %s", answer.StatusCode, body)
}
"""
NODE = """
const http = require('http'), tls = require('tls');
const url = new URL(process.argv[2]), host = url.hostname, port = Number(url.port || 443);
const bare = host.replace(/^\\[|\\]$/g, ''), isName = !require('net').isIP(bare);
const end = (error) => { console.log(String(error)); process.exit(1); };
const speak = (socket) => {
  const to = {socket, host: bare, port, servername: isName ? bare : ''};
  const over = tls.connect(to, () => over.write(
    `GET ${url.pathname} HTTP/1.1\\r\\nhost: ${url.host}\\r\\nconnection: close\\r\\n\\r\\n`));
  over.on('data', (data) => process.stdout.write(data)).on('error', end);
};
if (!process.env.HTTPS_PROXY) speak(undefined); else {
  const proxy = new URL(process.env.HTTPS_PROXY);
  const login = Buffer.from(`${proxy.username}:${proxy.password}`).toString('base64');
  http.request({
    host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: `${host}:${port}`,
    headers: {'Proxy-Authorization': `Basic ${login}`},
  }).on('connect', (answer, socket) => {
    if (answer.statusCode == 200) speak(socket); else end(answer.statusMessage);
  }).on('error', end).end();
}
"""
CLIENTS = ("pip", "uv", "curl", "wget", "node", "go")


@dataclass
class Client:
    """A program that asks for a URL."""

    name: str
    command: list[str]

    def line(self, url: str) -> list[str]:
        """Return the command that asks for a page of an index at this URL."""
        if self.name == "pip":
            into = ["--no-deps", "-d", "downloads", "--retries", "0"]
            return [*self.command, "download", "firm-lib", *into, "--index-url", url]
        if self.name == "uv":
            return [*self.command, "--index-url", url]
        return [*self.command, f"{url}/firm-lib/"]


@pytest.fixture(scope="session")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Build the Go client, once for all workers of a test run: it takes half a minute."""
    go = shutil.which("go", path=os.environ["PATH"]) or "/usr/local/go/bin/go"
    if not Path(go).exists():
        pytest.skip("go is not here")
    folder = shared_folder(tmp_path_factory, "go")
    environ = {**os.environ, "GOFLAGS": "-mod=mod", "GO111MODULE": "off", "HOME": str(folder),
               "GOCACHE": str(folder / "cache")}  # fmt: skip
    with FileLock(folder / "lock"):
        if not (folder / "client").exists():
            (folder / "main.go").write_text(GO)
            command = [go, "build", "-o", "client", "main.go"]
            subprocess.run(command, cwd=folder, env=environ, check=True)
    return [str(folder / "client")]


@pytest.fixture(params=CLIENTS)
def client(
    request: pytest.FixtureRequest, make_environment: MakeEnvironment, tmp_path: Path
) -> Client:
    """Give each program that is here."""
    name: str = request.param
    if name == "go":
        return Client(name, request.getfixturevalue("go_program"))
    if name == "pip":
        environment = make_environment(Pip(RUNNING, NEWEST), name="pip-env")
        return Client(name, [str(environment / "bin" / "python"), "-m", "pip"])
    if name == "uv":
        return Client(
            name, [UV, "pip", "install", "firm-lib", "--dry-run", "--target", str(tmp_path / "t")]
        )
    if (path := shutil.which(name)) is None:
        pytest.skip(f"{name} is not here")
    if name == "node":
        (tmp_path / "client.js").write_text(NODE)
        return Client(name, [path, str(tmp_path / "client.js")])
    quiet = ["-sS", "--max-time", "20"] if name == "curl" else ["-qO-", "-T", "20", "-t", "1"]
    return Client(name, [path, *quiet])


def run_against(
    client: Client, url: str, bundle: Path, tmp_path: Path
) -> subprocess.CompletedProcess[str]:
    """Ask an impostor, directly."""
    names = (
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "PIP_CERT",
        "NODE_EXTRA_CA_CERTS",
    )
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "UV_NO_CACHE": "1",
        "UV_HTTP_RETRIES": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        **dict.fromkeys(names, str(bundle)),
    }  # fmt: skip
    line = client.line(url)
    if client.name == "wget":
        line.insert(1, f"--ca-certificate={bundle}")
    return subprocess.run(
        line, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("kind", ["a name", "an address"])
def test_a_leaf_for_a_foreign_host_is_refused(client: Client, kind: str, tmp_path: Path) -> None:
    """Name constraints bind every client; the control is the same leaf under a CA that permits it.

    The host is localhost or 127.0.0.1, so that it can be reached without any proxy.
    """
    host = "localhost" if kind == "a name" else "127.0.0.1"
    bundle = tmp_path / "bundle.pem"
    for permitted in (PRIVATE_HOST, host):
        authority = Authority([permitted], MovedClock())
        bundle.write_text(authority.pem)
        with impostor(authority, host, tmp_path) as (port, served):
            done = run_against(client, f"https://{host}:{port}/simple", bundle, tmp_path)
        said = f"{client.name} {permitted}: {done.stdout} {done.stderr}"
        assert bool(served) is (permitted == host), said


def test_every_client_gets_a_private_page(
    rig: Rig, site: Site, client: Client, tmp_path: Path
) -> None:
    """With the CA and the secret; without the CA nobody; without the secret nobody."""
    site.add_private("firm-lib")
    view = rig.open()
    line = client.line(site.index_url)
    if client.name == "wget":
        line[1:1] = [f"--ca-certificate={rig.bundle(view)}"]
    done = rig.run(view, *line, UV_HTTP_RETRIES="0")
    said = f"{done.stdout}{done.stderr}{rig.problems()}"
    assert "firm_lib-1.0" in said or "firm-lib==1.0" in said, said
    assert any(r.path.startswith("/python/firm-lib") for r in site.crane.requests), said
    site.crane.requests.clear()

    untrusting = [word.replace(rig.bundle(view), rig.bundle(None)) for word in line]
    done = rig.run(view, *untrusting, trusts=False, UV_HTTP_RETRIES="0")
    assert done.returncode != 0
    assert not site.crane.requests
    if client.name != "wget":  # GnuTLS leaves without a word
        until(lambda: any("no TLS" in problem for problem in rig.problems()), "a report of no TLS")

    rig.close(view)
    done = rig.run(view, *line, UV_HTTP_RETRIES="0")
    assert done.returncode != 0
    assert not site.crane.requests
    if client.name not in {"pip", "wget"}:  # neither says why a proxy refused; nothing is had
        assert re.search("(?i)407|proxy auth|crane:", done.stdout + done.stderr), done.stderr


def constraints_of(pem: str) -> x509.NameConstraints:
    certificate = x509.load_pem_x509_certificate(pem.encode())
    extension = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert extension.critical
    return extension.value


def test_the_constraints_name_the_opened_hosts_and_exclude_the_rest() -> None:
    names = constraints_of(Authority(["a.test", "b.test"], MovedClock()).pem)
    assert {n.value for n in names.permitted_subtrees or ()} == {"a.test", "b.test"}
    assert {str(n.value) for n in names.excluded_subtrees or ()} == {"0.0.0.0/0", "::/0"}
    addresses = constraints_of(Authority(["10.0.0.1"], MovedClock()).pem)
    assert [n.value for n in addresses.permitted_subtrees or ()] == [
        ipaddress.ip_network("10.0.0.1/32")
    ]
    assert {str(n.value) for n in addresses.excluded_subtrees or ()} == {"", "::/0"}
    nothing = constraints_of(Authority([], MovedClock()).pem)
    assert not nothing.permitted_subtrees
    assert {str(n.value) for n in nothing.excluded_subtrees or ()} == {"", "0.0.0.0/0", "::/0"}


def test_the_ca_is_for_servers_short_lived_and_cannot_make_another() -> None:
    certificate = x509.load_pem_x509_certificate(Authority(["a.test"], MovedClock()).pem.encode())
    of = certificate.extensions.get_extension_for_class
    assert of(x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=0)
    assert of(x509.BasicConstraints).critical
    assert of(x509.KeyUsage).value.key_cert_sign
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert life <= authority_module.AUTHORITY_LIFE + authority_module.BACKDATED


def test_a_host_that_is_not_opened_has_no_context() -> None:
    with pytest.raises(ValueError, match="not opened"):
        Authority(["a.test"], MovedClock()).context_for("b.test")


def leaf_of(rig: Rig, view: object, target: str = TARGET) -> x509.Certificate:
    context = rig.context(None)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the test's clock is not the machine's
    with raw.secure(rig, view, target, context=context) as tls:  # type: ignore[arg-type]
        der = tls.getpeercert(binary_form=True)
    assert der
    return x509.load_der_x509_certificate(der)


def test_a_leaf_is_renewed_in_place(rig: Rig, home: Home) -> None:
    """A running child trusts the CA, so it need not hear of it; the old leaf has time left."""
    view = rig.open()
    first = leaf_of(rig, view)
    home.clock.ahead += authority_module.RENEW_AFTER - 60
    assert leaf_of(rig, view) == first
    home.clock.ahead += 120
    second = leaf_of(rig, view)
    assert second != first
    assert second.not_valid_after_utc > first.not_valid_after_utc
    assert first.not_valid_after_utc - first.not_valid_before_utc <= (
        authority_module.LEAF_LIFE + authority_module.BACKDATED
    )


def test_a_leaf_never_outlives_its_ca() -> None:
    clock = MovedClock()
    authority = Authority(["a.test"], clock)
    clock.ahead = authority_module.AUTHORITY_LIFE.total_seconds() - 3600
    leaf = x509.load_pem_x509_certificate(authority.issue("a.test")[0])
    ca = x509.load_pem_x509_certificate(authority.pem.encode())
    assert leaf.not_valid_after_utc == ca.not_valid_after_utc


def test_each_view_has_a_ca_of_its_own(rig: Rig) -> None:
    one, other = rig.open(), rig.open()
    assert one.authority != other.authority
    only_other = ssl.create_default_context(cadata=other.authority)
    with pytest.raises(ssl.SSLError), raw.secure(rig, one, TARGET, context=only_other):
        pass


@pytest.mark.parametrize("name", ["pypi.test", "firm.test", "x.index.firm.test", "elsewhere"])
def test_another_name_in_tls_than_in_connect_is_refused(rig: Rig, site: Site, name: str) -> None:
    """RFC 6066 §3; asyncio closes before the alert is out."""
    view = rig.open()
    context = rig.context(view)
    context.check_hostname = False
    with pytest.raises(OSError), raw.secure(rig, view, TARGET, name=name, context=context):
        pass
    with raw.secure(rig, view, TARGET, context=context):
        pass
    assert rig.problems() == ["no TLS (callback failed)"]


def test_tls_offers_http_1_only(rig: Rig) -> None:
    view = rig.open()
    context = rig.context(view)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with raw.secure(rig, view, TARGET, context=context) as tls:
        assert tls.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("memory", [True, False], ids=["in memory", "without memfd"])
def test_no_key_stays_on_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, memory: bool
) -> None:
    """The CA's is never written; a leaf's is, where OpenSSL wants a file and memory is none."""
    seen: list[tuple[str, int, int]] = []
    real = ssl.SSLContext.load_cert_chain

    def load(self: ssl.SSLContext, path: str) -> None:
        seen.append(
            (path, Path(path).stat().st_mode & 0o777, Path(path).parent.stat().st_mode & 0o777)
        )
        assert Path(path).read_bytes().count(b"PRIVATE KEY") == 2  # one key: begin and end
        real(self, path)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", load)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if not memory:
        monkeypatch.delattr(os, "memfd_create")
    Authority(["a.test"], MovedClock()).context_for("a.test")
    ((path, mode, folder_mode),) = seen
    assert not list(tmp_path.iterdir())
    if memory:
        assert path.startswith("/proc/self/fd/")
    else:
        assert (mode, folder_mode) == (0o600, 0o700)


HOSTS = {
    "another port": ("index.firm.test", 8443),
    "a name of one label": ("index", 443),
    "an IDN": ("xn--bcher-kva.test", 443),
    "IPv4": ("192.0.2.7", 443),
    "IPv6": ("2001:db8::7", 443),
    "IPv6, another port": ("2001:db8::7", 8443),
}


@pytest.mark.parametrize(("host", "port"), HOSTS.values(), ids=HOSTS.keys())
def test_every_kind_of_host_is_opened(
    net: Net, site: Site, home: Home, client: Client, tmp_path: Path, host: str, port: int
) -> None:
    site.add_private("firm-lib")
    shown = f"[{host}]" if ":" in host else host
    origin = f"https://{shown}" + ("" if port == 443 else f":{port}")
    with net.host(site.crane, host, port) as url:
        spelled = url.replace("xn--bcher-kva", "b\u00fccher")
        index = site.index(name="odd", url=f"{spelled}/python")
        home.login(index)
        with forward(home, net, tmp_path, index) as rig:
            view = rig.open()
            assert origin in view.origins
            line = client.line(f"{origin}/python")
            if client.name == "wget":
                line[1:1] = [f"--ca-certificate={rig.bundle(view)}"]
            done = rig.run(view, *line, UV_HTTP_RETRIES="0")
            said = f"{done.stdout}{done.stderr}{rig.problems()}"
            if client.name == "uv" and ":" in host:
                assert "Invalid Server Name" in said  # uv has it so behind any proxy
                return
            assert "firm_lib-1.0" in said or "firm-lib==1.0" in said, said


def test_views_are_told_what_is_opened(rig: Rig, site: Site) -> None:
    view = rig.open(
        others=("https://more.test/simple/", "https://ada:pw@login.test/simple", "file:///x")
    )
    assert set(view.origins) == {
        "https://index.firm.test", "https://pypi.test", "https://more.test", "https://login.test",
    }  # fmt: skip
    assert json.dumps(view.origins)
