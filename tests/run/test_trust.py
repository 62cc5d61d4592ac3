"""What a child trusts: what its user did, and its view's authority."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trustme

from crane_core.clients import trust
from crane_core.clients.pip_files import PipFiles, read_pip_files
from crane_core.clients.trust import make_bundle
from crane_core.clients.wgetrc import certificates_of, read_wgetrc, wgetrc_for
from crane_core.errors import TrustBroken


@pytest.fixture(scope="module")
def certificates() -> list[str]:
    """Four different certificates, as text."""
    return [trustme.CA().cert_pem.bytes().decode() for _ in range(4)]


@pytest.fixture(autouse=True)
def system(tmp_path: Path, certificates: list[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system that trusts the first certificate, and no certifi."""
    path = tmp_path / "system" / "roots.crt"
    path.parent.mkdir()
    path.write_text(certificates[0])
    monkeypatch.setattr(trust, "SYSTEM_FILES", ("/nowhere/roots.crt", str(path)))
    monkeypatch.setattr("sys.path", [])
    return path


def blocks(text: str | bytes) -> list[str]:
    """Return the certificates in a text, without white space."""
    text = text.decode() if isinstance(text, bytes) else text
    found = re.findall("BEGIN CERTIFICATE-----(.*?)-----END", text, re.DOTALL)
    return ["".join(body.split()) for body in found]


def one(text: str) -> str:
    (found,) = blocks(text)
    return found


def test_without_settings_the_system_counts(certificates: list[str]) -> None:
    bundle = make_bundle({}, certificates[3])

    assert blocks(bundle) == [one(certificates[3]), one(certificates[0])]


def test_ssl_cert_file_stands_in_for_the_system(certificates: list[str], tmp_path: Path) -> None:
    firm = tmp_path / "firm.pem"
    firm.write_text(certificates[1])

    assert blocks(make_bundle({"SSL_CERT_FILE": str(firm)}, "")) == [one(certificates[1])]


@pytest.mark.parametrize("name", [n for n in trust.VARIABLES if n != "SSL_CERT_FILE"])
def test_other_files_count_beside_the_system(
    name: str, certificates: list[str], tmp_path: Path
) -> None:
    firm = tmp_path / "firm.pem"
    firm.write_text(certificates[1])

    found = blocks(make_bundle({name: str(firm)}, ""))

    assert set(found) == {one(certificates[0]), one(certificates[1])}


def test_each_certificate_is_there_once(certificates: list[str], tmp_path: Path) -> None:
    firm = tmp_path / "firm.pem"
    spaced = certificates[0].replace("\n", "\r\n")
    firm.write_text(f"# Firm\n{certificates[1]}\n{spaced}{certificates[1]}")

    found = blocks(make_bundle({"PIP_CERT": str(firm), "CURL_CA_BUNDLE": str(firm)}, ""))

    assert found == [one(certificates[1]), one(certificates[0])]


def test_a_folder_of_certificates(certificates: list[str], tmp_path: Path) -> None:
    """`SSL_CERT_DIR` is for OpenSSL, which knows hashed names; requests takes any."""
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "0123abcd.0").write_text(certificates[1])
    (folder / "readme.pem").write_text(certificates[2])
    (folder / "89abcdef.0").symlink_to("nowhere")

    hashed = blocks(make_bundle({"SSL_CERT_DIR": f"/nowhere:{folder}"}, ""))
    every = blocks(make_bundle({"REQUESTS_CA_BUNDLE": str(folder)}, ""))

    assert set(hashed) == {one(certificates[0]), one(certificates[1])}
    assert set(every) == {one(certificates[i]) for i in range(3)}


def test_pips_own_setting_counts(certificates: list[str], tmp_path: Path) -> None:
    firm = tmp_path / "firm.pem"
    firm.write_text(certificates[1])

    assert one(certificates[1]) in blocks(make_bundle({}, "", str(firm)))


def test_wgets_own_setting_counts(tmp_path: Path) -> None:
    firm = tmp_path / "firm.pem"
    firm.touch()
    settings = f"# mine\nca_certificate = /nowhere\nCA-Certificate={firm} \n"

    assert certificates_of(settings) == str(firm)
    assert certificates_of("ca_certificate = /nowhere") is None
    assert certificates_of("timeout = 3") is None
    (tmp_path / ".wgetrc").write_text(settings)
    assert read_wgetrc({}, tmp_path) == settings
    assert read_wgetrc({"WGETRC": "/nowhere"}, tmp_path) == ""
    assert wgetrc_for(settings, "/b.pem").endswith(b"\nca_certificate = /b.pem\n")


def test_certifi_counts_beside_the_system(
    certificates: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "certifi").mkdir()
    (tmp_path / "certifi" / "cacert.pem").write_text(certificates[2])
    monkeypatch.setattr("sys.path", [str(tmp_path)])

    assert one(certificates[2]) in blocks(make_bundle({}, ""))


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")

    for value, reason in (("/nowhere/x.pem", "No such file"), (str(empty), "no certificate")):
        with pytest.raises(TrustBroken, match=f"REQUESTS_CA_BUNDLE names {value}: .*{reason}"):
            make_bundle({"REQUESTS_CA_BUNDLE": value}, "")


def test_an_empty_variable_is_none(certificates: list[str]) -> None:
    assert blocks(make_bundle({"PIP_CERT": ""}, "")) == [one(certificates[0])]


def test_a_variable_of_one_tool_that_is_broken_is_its_own_matter(certificates: list[str]) -> None:
    found = blocks(make_bundle({"AWS_CA_BUNDLE": "/nowhere"}, ""))

    assert found == [one(certificates[0])]


@pytest.fixture(autouse=True)
def _no_system_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crane_core.clients.pip_files.SYSTEM_FILE", "/nowhere/pip.conf")


def test_pips_files_are_read_in_its_order(tmp_path: Path) -> None:
    home, venv = tmp_path / "home", tmp_path / "venv"
    (home / ".config" / "pip").mkdir(parents=True)
    venv.mkdir()
    environ = {"XDG_CONFIG_DIRS": str(tmp_path / "none"), "VIRTUAL_ENV": str(venv)}
    assert read_pip_files(environ, home) == PipFiles()
    (home / ".config" / "pip" / "pip.conf").write_text(
        "[global]\ncert = /global.pem\nproxy = http://firm:1\n[install]\ncert = /install.pem\n"
    )
    assert read_pip_files(environ, home) == PipFiles("/install.pem", "http://firm:1")
    (venv / "pip.conf").write_text("[global]\ncert = /venv.pem\n")
    assert read_pip_files(environ, home) == PipFiles("/venv.pem", "http://firm:1")
    named = tmp_path / "named.conf"
    named.write_text("[global]\nproxy =\n")
    environ["PIP_CONFIG_FILE"] = str(named)
    assert read_pip_files(environ, home) == PipFiles("/venv.pem", None)
    environ["PIP_CONFIG_FILE"] = "/dev/null"
    assert read_pip_files(environ, home) == PipFiles()


def test_a_broken_file_of_pips_is_pips_to_tell(tmp_path: Path) -> None:
    named = tmp_path / "named.conf"
    named.write_text("no section\n")

    assert read_pip_files({"PIP_CONFIG_FILE": str(named)}, tmp_path) == PipFiles()
