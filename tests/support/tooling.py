"""Real tools of others, the wheels that they need, and what they must not leave behind."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uv
from filelock import FileLock
from forward.rig import Site

from support.workers import shared_folder
from support.workshop import SCRIPTS, call, clean_environment

UV = uv.find_uv_bin()
STATIC_USER, STATIC_PASSWORD = "static-user", "static-password"
LOOPBACK = re.compile(rb"127\.0\.0\.1|localhost|\[::1\]")

# Each group has an environment of its own.
TOOLS = {
    "twine": ["twine==7.0.0"],
    "hatch": ["hatch==1.18.2"],
    "poetry": ["poetry==2.5.1"],
    "pdm": ["pdm[locked]==2.29.4"],
    "pipx": ["pipx==1.18.4"],
    "pip-tools": ["pip-tools==7.6.2", "pip==26.3"],
    "tox": ["tox==4.67.15"],
    "nox": ["nox==2026.10.20"],
    "build": ["build==1.6.1"],
    "flit": ["flit==3.12.0", "flit-core==3.12.0"],
}


def uv_cache() -> str:
    """Return where uv keeps what it has fetched; for installers in homes of their own."""
    done = subprocess.run(
        [UV, "cache", "dir"], env=clean_environment(), stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


@dataclass(frozen=True)
class Toolbox:
    """The tools, each in an environment that all workers of a test run share."""

    root: Path

    def folder(self, name: str) -> Path:
        """Return where a tool's programs are; it is installed at the first call."""
        venv = self.root / name
        with FileLock(f"{venv}.lock"):
            if not (venv / "complete").exists():
                overrides = self.root / f"{name}-overrides.txt"
                # Mirrors rebuild certifi with their own certificates and another version number.
                overrides.write_text("certifi\n")
                into = ("--python", venv / SCRIPTS / "python", "--override", overrides)
                self._call(UV, "venv", "--no-config", "--python", sys.executable, venv)
                self._call(UV, "pip", "install", "--no-config", *into, *TOOLS[name])
                (venv / "complete").touch()
        return venv / SCRIPTS

    def program(self, name: str, tool: str | None = None) -> str:
        """Return a tool's program."""
        return str(self.folder(tool or name) / name)

    def wheels(self, *requirements: str) -> list[Path]:
        """Return the wheels of real projects with all that they need."""
        folder = self.root / "-".join(["wheels", *(re.sub(r"\W", "-", r) for r in requirements)])
        with FileLock(f"{folder}.lock"):
            if not (folder / "complete").exists():
                pip = (sys.executable, "-m", "pip", "download", "--quiet")
                self._call(*pip, "--only-binary", ":all:", "--dest", folder, *requirements)
                (folder / "complete").touch()
        return sorted(folder.glob("*.whl"))

    def _call(self, *command: str | Path) -> None:
        call(*command, env=clean_environment(), cwd=self.root)


def add_real(site: Site, wheels: Iterable[Path]) -> None:
    """Put real wheels on the public index."""
    for wheel in wheels:
        project = re.sub(r"[-_.]+", "-", wheel.name.partition("-")[0]).lower()
        (site.public / project).mkdir(exist_ok=True)
        (site.public / project / wheel.name).hardlink_to(wheel)


@pytest.fixture(scope="session")
def toolbox(tmp_path_factory: pytest.TempPathFactory) -> Toolbox:
    """Give the tools."""
    return Toolbox(shared_folder(tmp_path_factory, "tools"))


class TakesBasicToo:
    """An index that takes a fixed name and password in the token's place, as many do."""

    def __init__(self, app: Any, token: str) -> None:
        self._app, self._token = app, token.encode()
        self.static_logins = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        both = f"{STATIC_USER}:{STATIC_PASSWORD}".encode()
        known = b"Basic " + base64.b64encode(both)
        headers = []
        for name, value in scope["headers"]:
            if name == b"authorization" and value == known:
                self.static_logins += 1
                headers.append((name, b"Bearer " + self._token))
            else:
                headers.append((name, value))
        await self._app({**scope, "headers": headers}, receive, send)


def traces(port: int, *places: Path) -> list[str]:
    """Return each file below these places in which this machine, or the agent's port, stands."""
    number = f":{port}".encode()
    found = []
    for place in places:
        files = [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file()]
        assert files, f"there is nothing in {place}"
        for path in files:
            content = path.read_bytes()
            if number in content or LOOPBACK.search(content):
                found.append(str(path))
    return found


def traces_in(port: int, done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return each line of a command's output with such a trace."""
    lines = (done.stdout + done.stderr).splitlines()
    return [line for line in lines if f":{port}" in line or LOOPBACK.search(line.encode())]
