"""Running: a thread and a free port in tests, one command for people."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import signal
import ssl
import subprocess
import sys
from contextlib import ExitStack

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from crane_devserver import DevServer, IdentityProvider, Repository, demo_server, serve_in_thread
from crane_devserver.cli import main

USERS = {"ada": ("x", ())}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = built.public_bytes(serialization.Encoding.PEM)
    pem += key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(pem)
    return path


def test_tls(certificate, tmp_path):
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=certificate)
    server = DevServer([Repository("r", tmp_path)], USERS)
    with (
        serve_in_thread(server, ssl=serving, url_host="localhost") as url,
        httpx2.Client(verify=trusting, trust_env=False) as http,
    ):
        assert url.startswith("https://localhost:")
        document = http.get(url + "/idp/.well-known/openid-configuration").json()
        assert document["issuer"] == url + "/idp"
        header = {"Authorization": f"Bearer {server.provider.issue_token('ada')}"}
        assert http.get(url + "/r", headers=header).headers["location"] == url + "/r/"


def test_many_servers_at_once(tmp_path):
    servers = [IdentityProvider(USERS) for _ in range(3)]
    with ExitStack() as stack:
        urls = [stack.enter_context(serve_in_thread(server)) for server in servers]
        assert len(set(urls)) == 3


def test_a_taken_port_is_an_error():
    with serve_in_thread(IdentityProvider(USERS)) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(OSError), serve_in_thread(IdentityProvider(USERS), port=port):
            pass


def test_the_port_is_free_afterwards():
    with serve_in_thread(IdentityProvider(USERS)) as url:
        port = int(url.rpartition(":")[2])
    with serve_in_thread(IdentityProvider(USERS), port=port) as again:
        assert again == url


def test_an_unanswered_request_does_not_hold_up_the_end(tmp_path):
    from crane_devserver import Fault

    server = DevServer([Repository("r", tmp_path)], USERS)
    server.faults.append(Fault(delay_seconds=60))
    with serve_in_thread(server) as url, pytest.raises(httpx2.ReadTimeout):
        httpx2.get(url + "/r/", timeout=0.05, trust_env=False)
    assert server.requests[-1].status is None


def test_lifespan_is_accepted(tmp_path):
    import anyio

    async def drive():
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        sent = []

        async def receive():
            return next(messages)

        async def send(message):
            sent.append(message["type"])

        for app in (DevServer([], USERS), IdentityProvider(USERS)):
            messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
            await app({"type": "lifespan"}, receive, send)
        return sent

    assert anyio.run(drive) == ["lifespan.startup.complete", "lifespan.shutdown.complete"] * 2


def test_the_provider_needs_a_path_of_its_own():
    with pytest.raises(ValueError, match="idp_path"):
        DevServer([], USERS, idp_path="/")


def test_repository_names_are_checked(tmp_path):
    with pytest.raises(ValueError, match="name"):
        Repository("a.b", tmp_path)


def test_demo_layouts(tmp_path):
    server = demo_server(tmp_path)
    with serve_in_thread(server), httpx2.Client(trust_env=False) as http:
        headers = {"Authorization": f"Bearer {server.provider.issue_token('ben')}"}
        headers |= {"Accept": "text/html"}
        listing = http.get(server.url("demo", "crane-demo-hello/"), headers=headers).text
        assert 'href="crane_demo_hello-1.0.0-py3-none-any.whl"' in listing
        page = http.get(server.url("pages", "simple/crane-demo-hello/"), headers=headers).text
        assert "#sha256=" in page


@pytest.mark.skipif(os.name == "nt", reason="Ctrl+C cannot be sent to one process there")
def test_the_command():
    command = [sys.executable, "-m", "crane_devserver", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(6)]
        url = lines[2].split()[1]
        assert "ada / ada" in lines[5]
        status = httpx2.get(url, headers={"Accept": "text/html"}, trust_env=False).status_code
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert status == 302


def test_the_command_on_a_taken_port(capsys):
    with serve_in_thread(IdentityProvider(USERS)) as url:
        port = url.rpartition(":")[2]
        assert main(["--port", port]) == 1
    assert f"cannot listen on port {port}" in capsys.readouterr().err
