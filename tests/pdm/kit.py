"""A real PDM at work in a small internet: what it is given, and what it leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Any

import uv
from support.desks import ToolDesk, ToolEnvironments, distributions, mentions
from support.workshop import SCRIPTS

# On httpx, and on httpx2.
OLDEST, NEWEST = "2.26.4", "2.29.4"
VERSIONS = (OLDEST, NEWEST)
WITHOUT_PLUGINS = """
from pdm.core import Core, main
Core.load_plugins = lambda self: None
raise SystemExit(main())
"""


class Pdms(ToolEnvironments):
    """PDM with the plugin."""

    plugin = "pdm-plugin"

    def pdm(self, version: str, python: str = sys.executable) -> Path:
        """Return the program; beside it is `bare-pdm`, which loads no plugin."""
        # PDM's own requirements are loose: before 2.29.4 it does not start with this unearth.
        older = ["unearth<0.19"] if version != NEWEST else []
        wanted = (f"pdm=={version}", *older, "hishel<2")
        bare = ("bare-pdm", WITHOUT_PLUGINS)
        name = f"pdm-{version}" + (f"-{Path(python).parents[1].name}" * (python != sys.executable))
        return self.environment(name, *wanted, python=python, bare=bare) / "pdm"


class PdmDesk(ToolDesk):
    """A user's project, and the PDM they work on it with."""

    @cached_property
    def project(self) -> Path:
        """The project's folder."""
        folder = super().project
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
        return self.home / "pdm-cache"

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

    def environ(self, **extra: str) -> dict[str, str]:
        """Return the environment in which PDM runs."""
        ours = {
            "PATH": f"{Path(uv.find_uv_bin()).parent}{os.pathsep}{os.environ['PATH']}",
            "PDM_CHECK_UPDATE": "false",
            "PDM_CACHE_DIR": str(self.cache),
            "PDM_CONFIG_FILE": str(self.home / "pdm-config" / "config.toml"),
            "PDM_LOG_DIR": str(self.home / "pdm-logs"),
            "UV_CACHE_DIR": str(self.home / "uv-cache"),
            "UV_PYTHON_DOWNLOADS": "never",
        }
        return super().environ(**ours | extra)

    def installed(self) -> set[str]:
        """Return what is in the project's environment, as NAME-VERSION."""
        patterns = (".venv/lib/python3*/site-packages", "__pypackages__/3*/lib")
        return distributions(path for pattern in patterns for path in self.project.glob(pattern))

    def mentions(self, text: str) -> list[Path]:
        """Return the files of the project and of PDM's caches and logs that hold this text."""
        return mentions(
            text, self.project, self.cache, self.home / "pdm-config", self.home / "pdm-logs"
        )


def source(name: str, url: str, more: str = "") -> str:
    """Return a source as pyproject.toml has it."""
    return f'[[tool.pdm.source]]\nname = "{name}"\nurl = "{url}"\n{more}\n'
