"""Project managers without a plugin of ours: Poetry, PDM and Hatch."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest
from forward.rig import Site
from run.kit import Machine, says
from support.pips import installed
from support.tooling import Toolbox, add_real, traces, traces_in

ALL = {"firm_lib-1.0", "firm_dep-2.0", "open_lib-1.0"}
PROJECT = """\
[project]
name = "tiny"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["firm-lib"]
"""


def test_poetry_locks_and_installs(
    ada: Machine, needs: Site, toolbox: Toolbox, project: Path
) -> None:
    (project / "pyproject.toml").write_text(
        f"{PROJECT}[tool.poetry]\npackage-mode = false\n"
        f'[[tool.poetry.source]]\nname = "firm"\nurl = "{needs.index_url}"\npriority = "primary"\n'
        f'[[tool.poetry.source]]\nname = "open"\nurl = "{needs.public_url}"\n'
        'priority = "supplemental"\n'
    )
    extra = {"POETRY_VIRTUALENVS_IN_PROJECT": "true", "POETRY_CACHE_DIR": str(project / "cache")}
    poetry = (toolbox.program("poetry"), "--directory", str(project), "--no-interaction")

    locked = ada.run(*poetry, "lock", "-v", **extra)
    done = ada.run(*poetry, "install", **extra)

    assert locked.returncode == 0, says(locked) + ada.log()
    assert done.returncode == 0, says(done) + ada.log()
    assert installed(project / ".venv") == ALL
    lock = tomllib.loads((project / "poetry.lock").read_text())
    sources = {p["name"]: p["source"]["url"] for p in lock["package"]}
    assert sources["firm-lib"] == sources["firm-dep"] == needs.index_url
    assert sources["open-lib"] == needs.public_url
    assert traces(ada.agent().port, project / "poetry.lock", project / "cache") == []
    assert traces_in(ada.agent().port, locked) == traces_in(ada.agent().port, done) == []


@pytest.mark.parametrize("order", ["true", "false"])
def test_pdm_locks_and_installs(
    ada: Machine, needs: Site, toolbox: Toolbox, project: Path, order: str
) -> None:
    """Without `respect-source-order`, PDM itself takes the highest version of all sources."""
    (project / "pyproject.toml").write_text(
        f"{PROJECT}[tool.pdm]\ndistribution = false\n"
        f"[tool.pdm.resolution]\nrespect-source-order = {order}\n"
        f'[[tool.pdm.source]]\nname = "firm"\nurl = "{needs.index_url}"\n'
        f'[[tool.pdm.source]]\nname = "pypi"\nurl = "{needs.public_url}"\n'
    )
    extra = {"PDM_CHECK_UPDATE": "false", "PDM_CACHE_DIR": str(project / "cache")}
    pdm = (toolbox.program("pdm"),)

    locked = ada.run(*pdm, "lock", "--static-urls", "--project", str(project), **extra)
    done = ada.run(*pdm, "install", "--project", str(project), **extra)

    assert locked.returncode == 0, says(locked) + ada.log()
    assert done.returncode == 0, says(done) + ada.log()
    assert installed(project / ".venv") == ALL
    lock = tomllib.loads((project / "pdm.lock").read_text())
    urls = {p["name"]: p["files"][0]["url"].rpartition("/")[0] for p in lock["package"]}
    assert urls == {
        "firm-lib": f"{needs.index_url}/firm-lib",
        "firm-dep": f"{needs.index_url}/firm-dep",
        "open-lib": f"{needs.public_url}/open-lib",
    }
    assert traces(ada.agent().port, project / "pdm.lock", project / "cache") == []
    assert traces_in(ada.agent().port, locked) == traces_in(ada.agent().port, done) == []


@pytest.fixture
def hatched(needs: Site, toolbox: Toolbox, project: Path) -> Path:
    """Give a project of hatchling's whose build and environment need private projects."""
    add_real(needs, toolbox.wheels("hatchling==1.33.0", "editables"))
    (project / "pyproject.toml").write_text(
        f"{PROJECT}[build-system]\nrequires = ['hatchling', 'firm-dep']\n"
        "build-backend = 'hatchling.build'\n"
        "[tool.hatch.envs.default]\ndependencies = ['firm-dep']\n"
    )
    (project / "tiny").mkdir()
    (project / "tiny" / "__init__.py").touch()
    return project


def run_in(
    ada: Machine, folder: Path, *command: str, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run a command below `crane run`, in a folder of its own."""
    return ada.run("env", "-C", str(folder), *command, **extra)


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_hatch_makes_environments(
    ada: Machine, hatched: Path, pips: dict[str, str], toolbox: Toolbox, installer: str
) -> None:
    """Its dependencies are the indexes' own; so is what it needs to install the project itself."""
    with (hatched / "pyproject.toml").open("a") as file:
        file.write(f"installer = '{installer}'\n")
    extra = {"HATCH_DATA_DIR": str(hatched / "data"), "HATCH_CACHE_DIR": str(hatched / "cache")}
    hatch = (toolbox.program("hatch"), "--no-interactive")

    done = run_in(ada, hatched, *hatch, "env", "create", **pips, **extra)
    found = run_in(ada, hatched, *hatch, "run", "firm-tool", **pips, **extra)

    assert done.returncode == 0, says(done) + ada.log()
    assert found.stdout.endswith("made of 2.0\n"), says(found)
    assert traces_in(ada.agent().port, done) == []


def test_hatch_builds(ada: Machine, hatched: Path, pips: dict[str, str], toolbox: Toolbox) -> None:
    """In an environment with what the build needs."""
    extra = {"HATCH_DATA_DIR": str(hatched / "data"), "HATCH_CACHE_DIR": str(hatched / "cache")}

    done = run_in(ada, hatched, toolbox.program("hatch"), "build", **pips, **extra)

    assert done.returncode == 0, says(done) + ada.log()
    assert (hatched / "dist" / "tiny-1.0-py3-none-any.whl").exists()
    (environment,) = {p.parents[3] for p in hatched.glob("data/**/firm_dep-*.dist-info")}
    assert "firm_dep-2.0" in installed(environment)
