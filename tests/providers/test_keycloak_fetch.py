"""Fetching Keycloak comes to an end, with the whole of it or none; by a Maven of our own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from gateway.tools import until_ended
from providers import keycloak
from providers.keycloak import Missing

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Keycloak is run on Unix only")

Maven = Callable[[str], None]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Say where an archive goes that is whole when it says so."""
    archive = tmp_path / "keycloak.zip"
    monkeypatch.setattr(keycloak, "CACHE", tmp_path)
    monkeypatch.setattr(keycloak, "ARCHIVE", archive)
    monkeypatch.setattr(keycloak, "SHA256", hashlib.sha256(b"whole").hexdigest())
    return archive


@pytest.fixture
def maven(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maven:
    """Give what makes a shell script the only Maven."""

    def make(script: str) -> None:
        program = tmp_path / "bin" / "mvn"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        path = os.pathsep.join([str(program.parent), "/usr/bin", "/bin"])
        monkeypatch.setattr(keycloak, "ENVIRON", {"PATH": path, "ARCHIVE": str(archive)})

    return make


def test_a_second_attempt(archive: Path, maven: Maven) -> None:
    """One failure of the network is none of the fetch."""
    maven('[ -e failed ] || { touch failed; exit 1; }; printf whole > "$ARCHIVE"')
    keycloak._fetch()
    assert archive.read_text() == "whole"


def test_half_an_archive(archive: Path, maven: Maven) -> None:
    """Maven would leave it as it is."""
    archive.write_text("wh")
    maven('[ -e "$ARCHIVE" ] || printf whole > "$ARCHIVE"')
    keycloak._fetch()
    assert archive.read_text() == "whole"


def test_another_archive(maven: Maven) -> None:
    """It is no reason to skip a test."""
    maven('printf other > "$ARCHIVE"')
    with pytest.raises(AssertionError, match="SHA-256"):
        keycloak._fetch()


def test_no_success(maven: Maven, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is Maven's own."""
    maven("echo '[ERROR] Read timed out -> [Help 1]'; exit 1")
    monkeypatch.setattr(keycloak, "FETCH_ATTEMPTS", 2)
    with pytest.raises(Missing, match=r"\(attempt 2, .* s\): Read timed out$"):
        keycloak._fetch()


def test_no_end(maven: Maven, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Maven is ended, with what it has started."""
    maven("sleep 600 & echo $! > child; wait")
    monkeypatch.setattr(keycloak, "FETCH_SECONDS", 1)
    with pytest.raises(Missing, match="no end in time"):
        keycloak._fetch()
    until_ended((tmp_path / "child").read_text().strip())


@pytest.mark.usefixtures("archive")
def test_no_maven(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said by name."""
    monkeypatch.setattr(keycloak, "ENVIRON", {"PATH": ""})
    with pytest.raises(Missing, match="mvn is not on PATH"):
        keycloak._fetch()
