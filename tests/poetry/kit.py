"""A real Poetry at work in a small internet: what it is given, and what it leaves behind."""

from __future__ import annotations

import hashlib
import sys
import tomllib
from pathlib import Path
from typing import Any

from support.desks import ToolDesk, ToolEnvironments, distributions, mentions

OLDEST, NEWEST = "2.0.0", "2.5.1"
VERSIONS = (OLDEST, NEWEST)


class Poetries(ToolEnvironments):
    """Poetry with the plugin."""

    plugin = "poetry-plugin"

    def poetry(self, version: str, *, python: str = sys.executable, plugin: bool = True) -> Path:
        """Return the program; without the plugin if it is to come some other way."""
        name = Path(python).parent.parent.name if python != sys.executable else "here"
        name = f"poetry-{version}-{name}-{'crane' if plugin else 'bare'}"
        return self.environment(name, f"poetry=={version}", python=python, plugin=plugin) / "poetry"


class Desk(ToolDesk):
    """A user's project, and the Poetry they work on it with."""

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
        return self.home / "poetry-cache"

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

    def environ(self, **extra: str) -> dict[str, str]:
        """Return the environment in which Poetry runs."""
        ours = {
            "REQUESTS_CA_BUNDLE": self.site.net.ca_file,
            "POETRY_VIRTUALENVS_IN_PROJECT": "true",
            "POETRY_CACHE_DIR": str(self.cache),
            "POETRY_CONFIG_DIR": str(self.home / "poetry-config"),
            "POETRY_KEYRING_ENABLED": "false",
        }
        return super().environ(**ours | extra)

    def installed(self) -> set[str]:
        """Return what is in the project's environment, as NAME-VERSION."""
        return distributions(self.project.glob(".venv/lib/python3*/site-packages"))

    def mentions(self, text: str) -> list[Path]:
        """Return the files of the project and of Poetry's caches that hold this text."""
        return mentions(text, self.project, self.cache, self.home / "poetry-config")


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
