"""A real Hatch at work in a small internet: what it is given, and what it leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock
from forward.rig import Site
from poetry.pypi import PyPI
from run.kit import Machine
from support.workshop import SCRIPTS, Builder

from crane_devserver.wheels import make_wheel

# With httpx and `python -m build`, and with httpx2 and lock files.
OLDEST, NEWEST = "1.14.0", "1.18.2"
VERSIONS = (OLDEST, NEWEST)
SECONDS = 120
# Its name is not Hatch's, so the plugin does not take it for Hatch.
BARE = "from hatch.cli import main\nmain()\n"


@dataclass(eq=False)
class Hatches:
    """Makes an environment with Hatch and the plugin, once a test run for each version."""

    folder: Path

    def hatch(self, version: str) -> Path:
        """Return the program; beside it is `bare-hatch`, which does not know the plugin."""
        venv = self.folder / f"v{version}"
        with FileLock(f"{venv}.lock"):
            if not (venv / "complete").exists():
                self._make(venv, version)
        return venv / SCRIPTS / "hatch"

    def _make(self, venv: Path, version: str) -> None:
        loosened = self.folder / "overrides.txt"
        # Mirrors rebuild certifi with their own certificates and another version number.
        loosened.write_text("certifi\n")
        self._builder.uv("venv", "--no-config", "--python", sys.executable, venv)
        # Hatch's own requirements are loose: 1.14 finds no interpreter with virtualenv 21.
        older = ["virtualenv<21"] if version != NEWEST else []
        self._builder.uv(
            "pip", "install", "--no-config", "--override", loosened, f"hatch=={version}", *older,
            *self.wheels(), "--compile-bytecode", "--python", venv / SCRIPTS / "python",
        )  # fmt: skip
        bare = venv / SCRIPTS / "bare-hatch"
        bare.write_text(f"#!{venv / SCRIPTS / 'python'}\n{BARE}")
        bare.chmod(0o700)
        (venv / "complete").touch()

    def wheels(self) -> list[Path]:
        """Return the wheels of the core and of the plugin."""
        with FileLock(self.folder / "wheels.lock"):
            found = sorted(self.folder.glob("*-dist/*.whl"))
            return found or [self._builder.build(f)[1] for f in ("core", "hatch-plugin")]

    @cached_property
    def _builder(self) -> Builder:
        return Builder(self.folder)


@dataclass
class HatchDesk:
    """A user's project, and the Hatch they work on it with."""

    machine: Machine
    pypi: PyPI
    program: Path

    @cached_property
    def project(self) -> Path:
        """The project's folder."""
        folder = self.machine.user.home / "project"
        folder.mkdir()
        return folder

    @property
    def bare(self) -> Path:
        """Hatch without the plugin."""
        return self.program.with_name("bare-hatch")

    @property
    def site(self) -> Site:
        return self.machine.site

    @property
    def data(self) -> Path:
        return self.machine.user.home / "hatch-data"

    @property
    def indexes(self) -> dict[str, str]:
        """The variables that name the private index beside PyPI, as pip and uv know them."""
        return {"PIP_EXTRA_INDEX_URL": self.site.index_url, "UV_INDEX": self.site.index_url}

    def write(self, *dependencies: str, more: str = "", project: str = "") -> None:
        """Write pyproject.toml; the environment needs these, and the project is not installed."""
        listed = ", ".join(f'"{dependency}"' for dependency in dependencies)
        (self.project / "pyproject.toml").write_text(
            f'[project]\nname = "app"\nversion = "1.0"\nrequires-python = ">=3.11"\n{project}\n'
            f"[tool.hatch.envs.default]\nskip-install = true\ndependencies = [{listed}]\n{more}\n"
        )

    def add_pypi(self, name: str, version: str = "1.0", **options: Any) -> Path:
        """Put a wheel on PyPI."""
        return make_wheel(self.pypi.folder / name, name, version, **options)

    def add_pypi_files(self, *files: Path) -> None:
        """Put real wheels on PyPI."""
        for file in files:
            folder = self.pypi.folder / file.name.partition("-")[0].replace("_", "-").lower()
            folder.mkdir(exist_ok=True)
            (folder / file.name).hardlink_to(file)

    def environ(self, **extra: str) -> dict[str, str]:
        """Return the environment in which Hatch runs."""
        home = self.machine.user.home
        return {
            **self.machine.user.environ,
            "HATCH_DATA_DIR": str(self.data),
            "HATCH_CACHE_DIR": str(home / "hatch-cache"),
            "HATCH_PYTHON": sys.executable,
            "PIP_CACHE_DIR": str(home / "pip-cache"),
            "PIP_RETRIES": "0",
            "UV_CACHE_DIR": str(home / "uv-cache"),
            "UV_PYTHON_DOWNLOADS": "never",
            "COLUMNS": "200",
            **extra,
        }

    def hatch(
        self, *arguments: str, program: Path | None = None, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        """Run Hatch in the project, without a terminal."""
        return subprocess.run(
            [program or self.program, *arguments], env=self.environ(**extra), cwd=self.project,
            text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False,
        )  # fmt: skip

    def crane(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run `hatch-crane` in the project."""
        return self.hatch(*arguments, program=self.program.with_name("hatch-crane"), **extra)

    def here(self, program: Path, *arguments: str) -> list[str]:
        """Return a command that runs a Hatch in the project, whatever folder it is started in."""
        return ["env", "-C", str(self.project), str(program), *arguments]

    def run(self, *arguments: str, program: Path | None = None, **extra: str) -> str:
        """Run Hatch, which must succeed; return all it printed."""
        done = self.hatch(*arguments, program=program, **extra)
        assert done.returncode == 0, f"{says(done)}\n{self.machine.log()}"
        return done.stdout + done.stderr

    def installed(self, environment: str = "") -> set[str]:
        """Return what is in the project's environments, as NAME-VERSION."""
        pattern = f"env/virtual/app/*/{environment or '*'}/lib/python3*/site-packages/*.dist-info"
        found = {path.name.removesuffix(".dist-info") for path in self.data.glob(pattern)}
        return {name for name in found if not name.startswith(("pip-", "setuptools-", "wheel-"))}

    def mentions(self, text: str) -> list[Path]:
        """Return the files of the project, and what is installed, that hold this text."""
        home = self.machine.user.home
        kept = (self.project, self.data, home / "hatch-cache", home / "uv-cache")
        return [
            path for folder in kept for path in _files(folder) if text.encode() in path.read_bytes()
        ]


def _files(folder: Path) -> list[Path]:
    found = []
    for root, _, names in os.walk(folder):
        # What comes along with a virtual environment speaks of loopback by itself.
        if {"pip", "setuptools"} & set(Path(root).parts):
            continue
        found += [Path(root, n) for n in names if "virtualenv" not in n and not n.endswith(".pyc")]
    return [path for path in found if path.is_file()]


def says(done: subprocess.CompletedProcess[str]) -> str:
    """Return all that a command printed, for failures."""
    return f"{done.args} {done.returncode}\n{done.stdout}\n{done.stderr}"
