"""Getting a browser comes to an end, with one or with the reason; by an apt-get of our own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import chromium
from browser.chromium import Missing, prepared
from gateway.tools import until_ended

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="apt-get is run on Linux only")

Apt = Callable[[str], None]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the only folder on PATH, for somebody who is root."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(chromium, "ENVIRON", {"PATH": str(folder), "BIN": str(folder)})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return folder


@pytest.fixture
def apt(programs: Path) -> Apt:
    """Give what makes a shell script the only apt-get."""
    limiter = shutil.which("timeout")
    assert limiter is not None
    (programs / "timeout").symlink_to(limiter)

    def make(script: str) -> None:
        tools = "PATH=$PATH:/usr/bin:/bin"
        add(programs, "apt-get", f'{tools}; echo "$@" >> "$BIN/asked"; {script}')

    return make


def add(folder: Path, name: str, script: str = "") -> Path:
    """Put a program into a folder."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_a_browser_on_the_path(programs: Path) -> None:
    """Nothing is installed."""
    chrome = add(programs, "google-chrome")
    assert prepared() == str(chrome)


def test_a_browser_that_is_named(programs: Path, tmp_path: Path) -> None:
    """It comes before one on PATH."""
    add(programs, "chromium")
    mine = str(add(tmp_path, "my-browser"))
    chromium.ENVIRON["CRANE_TEST_CHROMIUM"] = mine
    assert prepared() == mine


def test_a_browser_that_is_named_and_absent(programs: Path) -> None:
    """Another one would not be what somebody wanted to know of."""
    add(programs, "chromium")
    chromium.ENVIRON["CRANE_TEST_CHROMIUM"] = "/nowhere/chrome"
    with pytest.raises(Missing, match="names no program: /nowhere/chrome"):
        prepared()


def test_installing(programs: Path, apt: Apt, capsys: pytest.CaptureFixture[str]) -> None:
    """The network is done with before anything is unpacked; standard output is for reasons."""
    apt('case "$*" in *download*|*update*) ;; *) cp "$0" "$BIN/chromium" ;; esac')
    assert prepared() == str(programs / "chromium")
    update, fetch, _ = (programs / "asked").read_text().splitlines()
    assert update.endswith(" update")
    assert fetch.endswith(" install --download-only chromium fonts-dejavu-core")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Chromium: installed in ")


def test_no_success(apt: Apt) -> None:
    """The reason is apt's own."""
    apt("echo 'Reading…'; echo 'E: Unable to locate package chromium' >&2; exit 100")
    with pytest.raises(Missing, match=r"update gave no Chromium: Unable to locate package"):
        prepared()


def test_no_end(programs: Path, apt: Apt, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, with what it has started."""
    monkeypatch.setattr(chromium, "FETCH_SECONDS", 1)
    apt('sleep 600 & echo $! > "$BIN/child"; wait')
    with pytest.raises(Missing, match="it ended with 124 after 1 s"):
        prepared()
    until_ended((programs / "child").read_text().strip())


@pytest.mark.parametrize("root", [True, False])
def test_not_ours_to_install(programs: Path, root: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root can, and only where there is apt-get."""
    if not root:
        add(programs, "apt-get", "exit 1")
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Missing, match="only root on Debian gets one"):
        prepared()
