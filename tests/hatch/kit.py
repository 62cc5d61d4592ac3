"""A real Hatch at work in a small internet: what it is given, and what it leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.desks import ToolDesk, ToolEnvironments, distributions, mentions

# With httpx and `python -m build`, and with httpx2 and lock files.
OLDEST, NEWEST = "1.14.0", "1.18.2"
VERSIONS = (OLDEST, NEWEST)
# Its name is not Hatch's, so the plugin does not take it for Hatch.
BARE = "from hatch.cli import main\nmain()\n"


class Hatches(ToolEnvironments):
    """Hatch with the plugin."""

    plugin = "hatch-plugin"

    def hatch(self, version: str, python: str = sys.executable) -> Path:
        """Return the program; beside it is `bare-hatch`, which does not know the plugin."""
        # Hatch's own requirements are loose: 1.14 finds no interpreter with virtualenv 21.
        older = ["virtualenv<21"] if version != NEWEST else []
        wanted = (f"hatch=={version}", *older)
        name = f"v{version}" + (f"-{Path(python).parents[1].name}" * (python != sys.executable))
        bare = ("bare-hatch", BARE)
        return self.environment(name, *wanted, python=python, bare=bare) / "hatch"


class HatchDesk(ToolDesk):
    """A user's project, and the Hatch they work on it with."""

    @property
    def bare(self) -> Path:
        """Hatch without the plugin."""
        return self.program.with_name("bare-hatch")

    @property
    def data(self) -> Path:
        return self.home / "hatch-data"

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

    def add_pypi_files(self, *files: Path) -> None:
        """Put real wheels on PyPI."""
        for file in files:
            folder = self.pypi.folder / file.name.partition("-")[0].replace("_", "-").lower()
            folder.mkdir(exist_ok=True)
            (folder / file.name).hardlink_to(file)

    def environ(self, **extra: str) -> dict[str, str]:
        """Return the environment in which Hatch runs."""
        ours = {
            "HATCH_DATA_DIR": str(self.data),
            "HATCH_CACHE_DIR": str(self.home / "hatch-cache"),
            "HATCH_PYTHON": sys.executable,
            "PIP_CACHE_DIR": str(self.home / "pip-cache"),
            "PIP_RETRIES": "0",
            "UV_CACHE_DIR": str(self.home / "uv-cache"),
            "UV_PYTHON_DOWNLOADS": "never",
        }
        return super().environ(**ours | extra)

    def crane(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run `hatch-crane` in the project."""
        return self.call(*arguments, program=self.program.with_name("hatch-crane"), **extra)

    def here(self, program: Path, *arguments: str) -> list[str]:
        """Return a command that runs a Hatch in the project, whatever folder it is started in."""
        return ["env", "-C", str(self.project), str(program), *arguments]

    def installed(self, environment: str = "") -> set[str]:
        """Return what is in the project's environments, as NAME-VERSION."""
        place = f"env/virtual/app/*/{environment or '*'}/lib/python3*/site-packages"
        return distributions(self.data.glob(place))

    def mentions(self, text: str) -> list[Path]:
        """Return the files of the project, and what is installed, that hold this text."""
        return mentions(
            text, self.project, self.data, self.home / "hatch-cache", self.home / "uv-cache"
        )

    def claim(self, **more: str) -> str:
        """Return `[tool.crane]`, and the index for the environments' installers."""
        name = "[tool.hatch.envs.default.env-vars]\nPIP_EXTRA_INDEX_URL"
        return f'{name} = "{self.site.index_url}"\n{super().claim(**more)}'
