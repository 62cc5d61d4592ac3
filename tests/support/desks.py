"""What the desks of Poetry, PDM and Hatch share: their environments, and how a tool is run.

A desk is a user's project in a small internet, with a real tool that has crane's plugin.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock
from forward.rig import Site
from poetry.pypi import PyPI
from run.kit import Machine, says

from crane_devserver.wheels import make_wheel
from support.workshop import SCRIPTS, Builder
from support.world import User

SECONDS = 120
# What a virtual environment brings along is nobody's dependency.
SEEDS = ("pip-", "setuptools-", "wheel-")


@dataclass(eq=False)
class ToolEnvironments:
    """Makes environments with a tool and its plugin, each once a test run."""

    folder: Path
    plugin = ""

    def environment(
        self,
        name: str,
        *requirements: str,
        python: str = sys.executable,
        plugin: bool = True,
        bare: tuple[str, str] | None = None,
    ) -> Path:
        """Return the folder of the programs; `bare` is one more, by name and text, to put there."""
        venv = self.folder / name
        programs = venv / SCRIPTS
        with FileLock(f"{venv}.lock"):
            if (venv / "complete").exists():
                return programs
            self._builder.uv("venv", "--no-config", "--python", python, venv)
            self.install(
                *requirements, *(self.wheels() if plugin else []), "--python", programs / "python"
            )  # fmt: skip
            if bare:
                program = programs / bare[0]
                program.write_text(f"#!{programs / 'python'}\n{bare[1]}")
                program.chmod(0o700)
            (venv / "complete").touch()
        return programs

    def install(self, *arguments: str | Path) -> None:
        """Run `uv pip install`."""
        loosened = self.folder / "overrides.txt"
        # Mirrors rebuild certifi with their own certificates and another version number.
        loosened.write_text("certifi\n")
        self._builder.uv("pip", "install", "--no-config", "--override", loosened, *arguments)

    def wheels(self) -> list[Path]:
        """Return the wheels of the core and of the plugin."""
        with FileLock(self.folder / "wheels.lock"):
            found = sorted(self.folder.glob("*-dist/*.whl"))
            return found or [self._builder.build(f)[1] for f in ("core", self.plugin)]

    @cached_property
    def _builder(self) -> Builder:
        return Builder(self.folder)


@dataclass
class ToolDesk:
    """A user's project, and the tool they work on it with."""

    machine: Machine
    pypi: PyPI
    program: Path
    folder_name: str = "project"

    @cached_property
    def project(self) -> Path:
        """The project's folder."""
        folder = self.machine.user.home / self.folder_name
        folder.mkdir()
        return folder

    @property
    def site(self) -> Site:
        return self.machine.site

    @property
    def home(self) -> Path:
        return self.machine.user.home

    @property
    def config_file(self) -> Path:
        """Crane's own configuration."""
        return self.machine.user.config_file

    def add_pypi(self, name: str, version: str = "1.0", **options: Any) -> Path:
        """Put a wheel on PyPI."""
        return make_wheel(self.pypi.folder / name, name, version, **options)

    def environ(self, **extra: str) -> dict[str, str]:
        """Return the environment in which the tool runs."""
        return {**self.machine.user.environ, "COLUMNS": "200", **extra}

    def call(
        self, *arguments: str, program: Path | None = None, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the tool, or another program, in the project, without a terminal."""
        return subprocess.run(
            [program or self.program, *arguments], env=self.environ(**extra), cwd=self.project,
            text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False,
        )  # fmt: skip

    def run(self, *arguments: str, program: Path | None = None, **extra: str) -> str:
        """Run the tool, which must succeed; return all it printed."""
        done = self.call(*arguments, program=program, **extra)
        assert done.returncode == 0, f"{says(done)}\n{self.machine.log()}"
        return done.stdout + done.stderr

    def at_terminal(self, *arguments: str) -> Any:
        """Start the tool in the project, with somebody in front of it."""
        import pexpect  # not on Windows, where this module is imported too

        return pexpect.spawn(
            str(self.program), list(arguments), env=self.environ(TERM="xterm"),
            cwd=str(self.project), encoding="utf-8", dimensions=(60, 200), timeout=60,
        )  # fmt: skip

    def claim(self, **more: str) -> str:
        """Return `[tool.crane]` as a project has it, with the real index and provider."""
        lines = {"index": self.site.index_url, "issuer": self.site.realm.issuer, **more}
        text = "".join(f'{key} = "{value}"\n' for key, value in lines.items())
        return f"[tool.crane]\n{text}"


@contextmanager
def machine_of(user: User, site: Site, **more: str) -> Iterator[Machine]:
    """Give the machine of a user in a firm's network, where a job runs; nothing outlives it."""
    user.variables = {
        "HTTPS_PROXY": site.net.url(),
        "SSL_CERT_FILE": site.net.ca_file,
        "PIP_CERT": "",
        "CI": "1",
        **more,
    }
    machine = Machine(user, site)
    yield machine
    machine.end_all()


def distributions(folders: Iterable[Path]) -> set[str]:
    """Return what is installed in these folders, as NAME-VERSION."""
    names = (path.name for folder in folders for path in folder.glob("*.dist-info"))
    found = {name.removesuffix(".dist-info") for name in names}
    return {name for name in found if not name.startswith(SEEDS)}


def mentions(text: str, *folders: Path) -> list[Path]:
    """Return the files that hold this text, but for what every virtual environment has."""
    files = (
        Path(root, name)
        for folder in folders
        for root, _, names in os.walk(folder)
        for name in names
    )
    return [
        path
        for path in files
        if path.is_file() and not _is_a_seed(path) and text.encode() in path.read_bytes()
    ]


def _is_a_seed(path: Path) -> bool:
    """Tell whether it comes along with an environment: pip and others speak of loopback."""
    parts = path.parts
    if ".venv" in parts and "site-packages" not in parts:
        return True
    if path.suffix == ".pyc" or "virtualenv" in path.name:
        return True
    return any(part in ("pip", "setuptools") or part.startswith(SEEDS) for part in parts)
