"""`crane doctor INDEX`: each step of the way is broken in turn, and the line that names it."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest
from auth.stored import expire, stored
from forward.net import listening
from grants.workload import identity
from idp.oidc import Realm
from poetry.kit import NEWEST, Poetries
from run.kit import Machine
from support.pips import log_in, register
from support.workers import shared_folder

from crane_core import __version__
from crane_core.secret import Secret
from crane_devserver import write_simple_pages
from crane_devserver.behaviour import CRANE
from crane_devserver.faults import Fault


def doctor(machine: Machine, *arguments: str, code: int = 0, **extra: str) -> list[str]:
    """Return all lines, as people see them."""
    done = machine.user.crane("doctor", "--json", *arguments, **extra)
    answer = json.loads(done.stdout)
    assert done.returncode == answer["exit_code"] == code, done.stdout + done.stderr
    sections = answer["data"]["sections"]
    found = [finding for section in sections for finding in section["findings"]]
    assert (code == 0) == ("bad" not in {finding["state"] for finding in found})
    return [f"{f['state']} {f['text']}; {f['fix']}" for f in found]


def only(lines: list[str], start: str) -> str:
    """Return the line that begins like this."""
    (line,) = [line for line in lines if line.startswith(start)]
    return line


def test_all_is_well(ada: Machine, realm: Realm) -> None:
    del ada.user.variables["CI"]
    ada.site.add_private("firm-lib", size=50_000)
    token = log_in(ada.user, realm, ada.site.index())

    lines = doctor(ada, "python")

    for start in (
        "good crane ", "good agent: none", "good proxy: index.firm.test is reached through",
        "good TLS: its certificate is trusted by", "good clock", "good without a token",
        "good identity provider", "good client crane-pip: can log in by", "good token: iss=",
        "good with the token: the index lists 1 project", "good ranges",
    ):  # fmt: skip
        only(lines, start)
    assert only(lines, "warning the page of firm-lib").count("without hashes") == 1
    shown = ada.user.crane("doctor")
    assert shown.returncode == 0
    assert "python  https://index.firm.test/python\n✓ proxy: " in shown.stdout
    for printed in ("\n".join(lines), shown.stdout, shown.stderr):
        assert token not in printed
        assert token.rpartition(".")[2] not in printed
        assert "lovelace" not in printed  # the password of the proxy
    assert "preferred_username=ada" in shown.stdout or "sub=ada" in shown.stdout


def test_nobody_is_logged_in_and_nobody_is_asked(machine: Machine, realm: Realm) -> None:
    del machine.user.variables["CI"]

    lines = doctor(machine, "python", code=4)

    assert "nobody is logged in" in only(lines, "bad login")
    assert "run: crane login python" in only(lines, "bad login")
    assert realm.requests("token") == []
    assert not [line for line in lines if "with the token" in line]


def test_a_host_that_has_no_address(ada: Machine) -> None:
    register(ada.user, ada.site.index(name="gone", url="https://index.invalid/python"))

    lines = doctor(ada, "gone", code=20, NO_PROXY="index.invalid")

    assert "there is no address for index.invalid" in only(lines, "bad DNS")


def test_a_certificate_that_is_not_trusted(ada: Machine) -> None:
    lines = doctor(ada, "python", code=20, SSL_CERT_FILE="")

    assert "the certificate of index.firm.test is not trusted" in only(lines, "bad connection")
    assert "run: crane index set python --ca-file FILE" in only(lines, "bad connection")


def test_a_proxy_that_refuses_or_cannot_be_used(ada: Machine) -> None:
    refused = doctor(ada, "python", code=20, HTTPS_PROXY=ada.site.net.url("ada:wrong@"))
    assert "the proxy before index.firm.test refused (407" in only(refused, "bad connection")
    assert "wrong" not in "\n".join(refused)

    lines = doctor(ada, "python", code=2, HTTPS_PROXY="socks5://h:1")
    assert "a proxy variable cannot be used" in only(lines, "bad proxy")


def test_a_provider_that_is_down(ada: Machine, realm: Realm) -> None:
    expire(ada.user)
    realm.respond(503, "down", times=None)

    lines = doctor(ada, "python", code=14)

    assert [line for line in lines if line.startswith(("bad token", "bad identity provider"))]


def test_an_index_that_hides_everything(ada: Machine) -> None:
    ada.site.crane.faults.append(Fault("/python/", status=404))

    lines = doctor(ada, "python", code=21)

    line = only(lines, "bad with the token")
    assert "which is also what it says to somebody without rights" in line
    assert "ask its administrators for access" in line


def test_an_index_that_refuses_the_token(ada: Machine) -> None:
    ada.site.crane.faults.append(Fault("/python/", status=401))

    assert "refused" in only(doctor(ada, "python", code=21), "bad with the token")


def test_a_page_that_is_none(ada: Machine) -> None:
    ada.site.add_private("firm-lib")
    html = (("content-type", "text/html"),)
    ada.site.crane.faults.append(Fault("/python/firm-lib/", 200, html, "<html>Welcome</html>"))

    lines = doctor(ada, "python", code=22)

    assert only(lines, "bad the page of firm-lib")


def test_a_crane_servers_own_listing(ada: Machine) -> None:
    """No hashes and no ranges: it works, and could be better."""
    ada.site.crane.behaviour = CRANE
    ada.site.add_private("firm-lib")

    lines = doctor(ada, "python")

    assert "without hashes" in only(lines, "warning the page of firm-lib")
    assert "whole files only" in only(lines, "warning ranges")


def test_a_clock_that_is_wrong(ada: Machine) -> None:
    date = formatdate(time() + 3600, usegmt=True)

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        head = f"HTTP/1.1 401 No\r\ndate: {date}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        connection.sendall(head.encode())

    with listening(answer) as port:
        register(ada.user, ada.site.index(name="late", url=f"http://127.0.0.1:{port}/python"))
        lines = doctor(ada, "late", code=19, NO_PROXY="127.0.0.1")

    assert "this machine is 60 minutes behind the index" in only(lines, "bad clock")
    assert "in plain http" in only(lines, "warning TLS")


def test_what_is_public_a_file_that_is_refused_and_metadata_of_the_indexs_own(ada: Machine) -> None:
    site = ada.site
    site.add_private("firm-lib")
    write_simple_pages(site.private)
    site.crane.repositories["python"] = replace(site.crane.repositories["python"], public=True)
    site.crane.faults.append(Fault("/python/firm-lib/firm_lib-1.0-", status=403))

    lines = doctor(ada, "python", code=21)

    only(lines, "good configuration: 1 index in ")
    only(lines, "warning without a token the index gives its first page")
    only(lines, "good metadata: the index has its own")
    only(lines, "bad the file firm_lib-1.0-py3-none-any.whl")


def test_a_client_that_cannot_log_in_a_token_without_rights_and_an_agent_of_before(
    ada: Machine,
) -> None:
    user, site = ada.user, ada.site
    stored(user).change(access_token=Secret(identity()))
    register(user, site.index(grant="client-credentials"))
    user.crane("run", "--", "true", check=True)
    place = ada.place()
    place.write(replace(ada.agent(), version="0.0.1"))

    # The index refuses the token, and gets a refreshed one.
    lines = doctor(ada, "python")

    assert "of crane 0.0.1; it leaves" in only(lines, "warning agent: process")
    client = only(lines, "warning client crane-pip: no grant can be used here")
    assert "client-credentials: no client secret or key is set" in client
    assert client.endswith("which says what each of them lacks")
    assert "groups mapper" in only(lines, "warning token: it has no claim")

    place.file.chmod(0o644)
    assert "chmod" in only(doctor(ada, "python", code=10), "bad agent")
    place.file.chmod(0o600)
    user.config_file.write_text("[")
    broken = doctor(ada, code=3)
    assert str(user.config_file) in only(broken, "bad configuration")
    assert len(broken) > 1


def test_tools_and_their_plugins(
    ada: Machine, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    programs = Poetries(shared_folder(tmp_path_factory, "poetries")).poetry(NEWEST).parent
    here = tmp_path / "bin"
    here.mkdir()
    (here / "pdm").symlink_to(programs / "poetry")  # its interpreter knows no PDM
    with_poetry = f"{programs}:{ada.user.environ['PATH']}"

    lines = doctor(ada, "python", PATH=with_poetry)

    assert f"poetry {NEWEST} with poetry-plugin-crane {__version__}" in only(lines, "good poetry")
    assert "has no plugin of crane" in only(doctor(ada, "python", PATH=str(here)), "warning pdm")


@pytest.mark.parametrize("what", ["https://other.example/simple", "nonsense"])
def test_what_is_neither_an_index_nor_a_tool(ada: Machine, what: str) -> None:
    done = ada.user.crane("doctor", what)

    assert done.returncode == 2 if what == "nonsense" else 3
    assert len(done.stderr.splitlines()) == 1
    assert "; " in done.stderr
