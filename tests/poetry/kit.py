"""A real Poetry at work in a small internet: what it is given, and what it leaves behind."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
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

OLDEST, NEWEST = "2.0.0", "2.5.1"
VERSIONS = (OLDEST, NEWEST)
SECONDS = 120


@dataclass(eq=False)
class Poetries:
    """Makes an environment with Poetry and the plugin, once a test run for each version."""

    folder: Path

    def poetry(self, version: str, *, python: str = sys.executable, plugin: bool = True) -> Path:
        """Return the program; without the plugin if it is to come some other way."""
        name = Path(python).parent.parent.name if python != sys.executable else "here"
        venv = self.folder / f"poetry-{version}-{name}-{'crane' if plugin else 'bare'}"
        with FileLock(f"{venv}.lock"):
            if not (venv / "complete").exists():
                self._make(venv, version, python, self.wheels() if plugin else [])
        return venv / SCRIPTS / "poetry"

    def _make(self, venv: Path, version: str, python: str, wheels: list[Path]) -> None:
        self._builder.uv("venv", "--no-config", "--python", python, venv)
        self.install(
            f"poetry=={version}", *wheels, "--compile-bytecode",
            "--python", venv / SCRIPTS / "python",
        )  # fmt: skip
        (venv / "complete").touch()

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
            return found or [self._builder.build(f)[1] for f in ("core", "poetry-plugin")]

    @cached_property
    def _builder(self) -> Builder:
        return Builder(self.folder)


@dataclass
class Desk:
    """A user's project, and the Poetry they work on it with."""

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
    def lock(self) -> str:
        """The text of poetry.lock."""
        return (self.project / "poetry.lock").read_text()

    @property
    def locked(self) -> dict[str, dict[str, Any]]:
        """The packages of poetry.lock by name."""
        return {package["name"]: package for package in tomllib.loads(self.lock)["package"]}

    @property
    def cache(self) -> Path:
        return self.machine.user.home / "poetry-cache"

    def write(self, *dependencies: str, sources: str | None = None, more: str = "") -> None:
        """Write pyproject.toml; by default the private index is primary, PyPI supplemental."""
        if sources is None:
            sources = self.source("firm") + source("PyPI", None, "supplemental")
        listed = ", ".join(f'"{dependency}"' for dependency in dependencies)
        (self.project / "pyproject.toml").write_text(
            '[project]\nname = "app"\nversion = "1.0"\nrequires-python = ">=3.11,<4"\n'
            f"dependencies = [{listed}]\n[tool.poetry]\npackage-mode = false\n{more}\n{sources}"
        )

    def source(self, name: str, priority: str = "primary") -> str:
        """Return the private index as a source."""
        return source(name, self.site.index_url, priority)

    def add_pypi(self, name: str, version: str = "1.0", **options: Any) -> Path:
        """Put a wheel on PyPI."""
        return make_wheel(self.pypi.folder / name, name, version, **options)

    def environ(self, **extra: str) -> dict[str, str]:
        """Return the environment in which Poetry runs."""
        home = self.machine.user.home
        return {
            **self.machine.user.environ,
            "REQUESTS_CA_BUNDLE": self.site.net.ca_file,
            "POETRY_VIRTUALENVS_IN_PROJECT": "true",
            "POETRY_CACHE_DIR": str(self.cache),
            "POETRY_CONFIG_DIR": str(home / "poetry-config"),
            "POETRY_KEYRING_ENABLED": "false",
            "COLUMNS": "200",
            **extra,
        }

    def poetry(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run Poetry in the project, without a terminal."""
        return subprocess.run(
            [self.program, *arguments], env=self.environ(**extra), cwd=self.project, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False,
        )  # fmt: skip

    def run(self, *arguments: str, **extra: str) -> str:
        """Run Poetry, which must succeed; return all it printed."""
        done = self.poetry(*arguments, **extra)
        assert done.returncode == 0, f"{says(done)}\n{self.machine.log()}"
        return done.stdout + done.stderr

    def installed(self) -> set[str]:
        """Return what is in the project's environment, as NAME-VERSION."""
        folder = next((self.project / ".venv").glob("lib/python3*/site-packages"))
        names = {path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info")}
        return {name for name in names if not name.startswith(("pip-", "setuptools-", "wheel-"))}

    def mentions(self, text: str) -> list[Path]:
        """Return the files of the project and of Poetry's caches that hold this text."""
        config = self.machine.user.home / "poetry-config"
        return [
            path
            for folder in (self.project, self.cache, config)
            for path in _files(folder)
            if text.encode() in path.read_bytes()
        ]


def _files(folder: Path) -> Iterable[Path]:
    for root, _, names in os.walk(folder):
        if ".venv" in Path(root).parts and "site-packages" not in root:
            continue
        # What pip and the like bring along speaks of loopback by itself.
        if "/pip" in root or "_virtualenv" in root:
            continue
        yield from (Path(root, name) for name in names)


def source(name: str, url: str | None, priority: str) -> str:
    """Return a source as pyproject.toml has it."""
    place = f'url = "{url}"\n' if url else ""
    return f'[[tool.poetry.source]]\nname = "{name}"\n{place}priority = "{priority}"\n'


def write_pages(folder: Path) -> None:
    """Write an index page into each project's folder, as an index made by hand has it.

    A Crane server's own listings are no pages to Poetry, which asks for JSON first.
    """
    for project in (path for path in folder.iterdir() if path.is_dir()):
        links = "".join(
            f'<a href="{file.name}#sha256={hashlib.sha256(file.read_bytes()).hexdigest()}">'
            f"{file.name}</a>\n"
            for file in sorted(project.glob("*-*"))
        )
        (project / "index.html").write_text(f"<!DOCTYPE html><title>{project.name}</title>{links}")


def says(done: subprocess.CompletedProcess[str]) -> str:
    """Return all that a command printed, for failures."""
    return f"{done.args} {done.returncode}\n{done.stdout}\n{done.stderr}"
