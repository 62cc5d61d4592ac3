"""A real PDM at work in a small internet: what it is given, and what it leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import uv
from filelock import FileLock
from forward.rig import Site
from poetry.pypi import PyPI
from run.kit import Machine
from support.workshop import SCRIPTS, Builder

from crane_devserver.wheels import make_wheel

# On httpx, and on httpx2.
OLDEST, NEWEST = "2.26.4", "2.29.4"
VERSIONS = (OLDEST, NEWEST)
SECONDS = 120
WITHOUT_PLUGINS = """
from pdm.core import Core, main
Core.load_plugins = lambda self: None
raise SystemExit(main())
"""


@dataclass(eq=False)
class Pdms:
    """Makes an environment with PDM and the plugin, once a test run for each version."""

    folder: Path

    def pdm(self, version: str) -> Path:
        """Return the program; beside it is `bare-pdm`, which loads no plugin."""
        venv = self.folder / f"pdm-{version}"
        with FileLock(f"{venv}.lock"):
            if not (venv / "complete").exists():
                self._make(venv, version)
        return venv / SCRIPTS / "pdm"

    def _make(self, venv: Path, version: str) -> None:
        loosened = self.folder / "overrides.txt"
        # Mirrors rebuild certifi with their own certificates and another version number.
        loosened.write_text("certifi\n")
        self._builder.uv("venv", "--no-config", "--python", sys.executable, venv)
        # PDM's own requirements are loose: before 2.29.4 it does not start with this unearth.
        older = ["unearth<0.19"] if version != NEWEST else []
        self._builder.uv(
            "pip", "install", "--no-config", "--override", loosened, f"pdm=={version}", *older,
            "hishel<2", *self.wheels(), "--compile-bytecode", "--python", venv / SCRIPTS / "python",
        )  # fmt: skip
        bare = venv / SCRIPTS / "bare-pdm"
        bare.write_text(f"#!{venv / SCRIPTS / 'python'}\n{WITHOUT_PLUGINS}")
        bare.chmod(0o700)
        (venv / "complete").touch()

    def wheels(self) -> list[Path]:
        """Return the wheels of the core and of the plugin."""
        with FileLock(self.folder / "wheels.lock"):
            found = sorted(self.folder.glob("*-dist/*.whl"))
            return found or [self._builder.build(f)[1] for f in ("core", "pdm-plugin")]

    @cached_property
    def _builder(self) -> Builder:
        return Builder(self.folder)


@dataclass
class PdmDesk:
    """A user's project, and the PDM they work on it with."""

    machine: Machine
    pypi: PyPI
    program: Path
    folder_name: str = "project"

    @cached_property
    def project(self) -> Path:
        """The project's folder."""
        folder = self.machine.user.home / self.folder_name
        folder.mkdir()
        subprocess.run(
            [uv.find_uv_bin(), "venv", "--no-config", "-q", "-p", sys.executable, folder / ".venv"],
            check=True, env=self.environ(),
        )  # fmt: skip
        self.use(folder, folder / ".venv" / SCRIPTS / "python")
        return folder

    def use(self, project: Path, python: Path | str) -> None:
        """Let PDM work with this interpreter, as `pdm use` does; never with the tests' own."""
        (project / ".pdm-python").write_text(str(python))

    @property
    def bare(self) -> Path:
        """PDM without the plugin."""
        return self.program.with_name("bare-pdm")

    @property
    def site(self) -> Site:
        return self.machine.site

    @property
    def lock(self) -> str:
        """The text of pdm.lock."""
        return (self.project / "pdm.lock").read_text()

    @property
    def locked(self) -> dict[str, dict[str, Any]]:
        """The packages of pdm.lock by name."""
        return {package["name"]: package for package in tomllib.loads(self.lock)["package"]}

    @property
    def versions(self) -> dict[str, str]:
        """The locked versions by name."""
        return {name: package["version"] for name, package in self.locked.items()}

    @property
    def cache(self) -> Path:
        return self.machine.user.home / "pdm-cache"

    def write(self, *dependencies: str, sources: str | None = None, more: str = "") -> None:
        """Write pyproject.toml; by default with the private index beside PDM's own PyPI."""
        if sources is None:
            sources = self.source("firm")
        listed = ", ".join(f'"{dependency}"' for dependency in dependencies)
        (self.project / "pyproject.toml").write_text(
            '[project]\nname = "app"\nversion = "1.0"\nrequires-python = ">=3.11"\n'
            f"dependencies = [{listed}]\n[tool.pdm]\ndistribution = false\n{more}\n{sources}"
        )

    def source(self, name: str, more: str = "") -> str:
        """Return the private index as a source."""
        return source(name, self.site.index_url, more)

    def add_pypi(self, name: str, version: str = "1.0", **options: Any) -> Path:
        """Put a wheel on PyPI."""
        return make_wheel(self.pypi.folder / name, name, version, **options)

    def environ(self, **extra: str) -> dict[str, str]:
        """Return the environment in which PDM runs."""
        home = self.machine.user.home
        return {
            **self.machine.user.environ,
            "PATH": f"{Path(uv.find_uv_bin()).parent}{os.pathsep}{os.environ['PATH']}",
            "PDM_CHECK_UPDATE": "false",
            "PDM_CACHE_DIR": str(self.cache),
            "PDM_CONFIG_FILE": str(home / "pdm-config" / "config.toml"),
            "PDM_LOG_DIR": str(home / "pdm-logs"),
            "UV_CACHE_DIR": str(home / "uv-cache"),
            "UV_PYTHON_DOWNLOADS": "never",
            "COLUMNS": "200",
            **extra,
        }

    def pdm(
        self, *arguments: str, program: Path | None = None, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        """Run PDM in the project, without a terminal."""
        return subprocess.run(
            [program or self.program, *arguments], env=self.environ(**extra), cwd=self.project,
            text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False,
        )  # fmt: skip

    def run(self, *arguments: str, program: Path | None = None, **extra: str) -> str:
        """Run PDM, which must succeed; return all it printed."""
        done = self.pdm(*arguments, program=program, **extra)
        assert done.returncode == 0, f"{says(done)}\n{self.machine.log()}"
        return done.stdout + done.stderr

    def installed(self) -> set[str]:
        """Return what is in the project's environment, as NAME-VERSION."""
        folders = [*self.project.glob(".venv/lib/python3*/site-packages"),
                   *self.project.glob("__pypackages__/3*/lib")]  # fmt: skip
        names = (path.name for folder in folders for path in folder.glob("*.dist-info"))
        found = {name.removesuffix(".dist-info") for name in names}
        return {name for name in found if not name.startswith(("pip-", "setuptools-", "wheel-"))}

    def mentions(self, text: str) -> list[Path]:
        """Return the files of the project and of PDM's caches and logs that hold this text."""
        home = self.machine.user.home
        return [
            path
            for folder in (self.project, self.cache, home / "pdm-config", home / "pdm-logs")
            for path in _files(folder)
            if text.encode() in path.read_bytes()
        ]


def _files(folder: Path) -> Iterable[Path]:
    for root, _, names in os.walk(folder):
        # What comes along with a virtual environment speaks of loopback by itself.
        if "/pip" in root or (".venv" in Path(root).parts and "site-packages" not in root):
            continue
        yield from (Path(root, name) for name in names if "virtualenv" not in name)


def source(name: str, url: str, more: str = "") -> str:
    """Return a source as pyproject.toml has it."""
    return f'[[tool.pdm.source]]\nname = "{name}"\nurl = "{url}"\n{more}\n'


def says(done: subprocess.CompletedProcess[str]) -> str:
    """Return all that a command printed, for failures."""
    return f"{done.args} {done.returncode}\n{done.stdout}\n{done.stderr}"
