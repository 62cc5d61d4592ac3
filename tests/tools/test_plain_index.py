"""`crane serve` is a plain index for pip, uv, Poetry and PDM."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import uv
from support.pips import NEWEST, RUNNING, Environments, Pip
from support.serving import serving
from support.tooling import Toolbox, toolbox
from support.workshop import SCRIPTS
from support.world import User, World

__all__ = ["toolbox"]


@pytest.fixture
def project(world: World, logged_in: User) -> Path:
    """Give a folder for a project; the index holds a private one with a public dependency."""
    world.add_private("secret-lib", requires=["public-lib"])
    world.add_public("secret-lib", "9.0")
    world.add_public("public-lib", "2.0")
    folder = logged_in.home / "project"
    folder.mkdir()
    return folder


def test_pip_installs_from_the_served_index(
    project: Path, logged_in: User, environments: Environments
) -> None:
    """With nothing of crane's about pip."""
    with serving(logged_in) as served:
        environments.make(project / "venv", Pip(RUNNING, NEWEST))
        pip = [str(project / "venv" / SCRIPTS / "python"), "-m", "pip", "install", "-i"]
        done = logged_in.run(*pip, f"{served.url}/python/simple/", "secret-lib", check=True)
    assert "Successfully installed public-lib-2.0 secret-lib-1.0" in done.stdout


def test_uv_installs_from_the_served_index(project: Path, logged_in: User) -> None:
    """uv asks for many pages at once, and for metadata by range requests."""
    with serving(logged_in) as served:
        index = f"{served.url}/python/simple/"
        command = ["pip", "install", "--target", str(project / "target"), "secret-lib"]
        extra = {"UV_DEFAULT_INDEX": index, "UV_NO_CONFIG": "1"}
        done = logged_in.run(str(uv.find_uv_bin()), *command, "-p", sys.executable, **extra)
    assert done.returncode == 0, done.stderr
    assert "secret-lib==1.0" in done.stderr
    assert "public-lib==2.0" in done.stderr


def test_poetry_locks_and_installs_from_the_served_index(
    project: Path, logged_in: User, toolbox: Toolbox
) -> None:
    """As a primary source, which switches its implicit PyPI off."""
    with serving(logged_in) as served:
        (project / "pyproject.toml").write_text(
            "[project]\n"
            'name = "tiny"\nversion = "1.0"\nrequires-python = ">=3.11"\n'
            'dependencies = ["secret-lib"]\n'
            "[tool.poetry]\npackage-mode = false\n"
            "[[tool.poetry.source]]\n"
            f'name = "crane"\nurl = "{served.url}/python/simple/"\npriority = "primary"\n'
        )
        extra = {"POETRY_VIRTUALENVS_IN_PROJECT": "true"}
        poetry = [toolbox.program("poetry"), "--directory", str(project), "--no-interaction"]
        logged_in.run(*poetry, "lock", check=True, **extra)
        done = logged_in.run(*poetry, "install", check=True, **extra)
    assert "secret-lib (1.0)" in done.stdout
    assert "public-lib (2.0)" in done.stdout


def test_pdm_locks_and_installs_from_the_served_index(
    project: Path, logged_in: User, toolbox: Toolbox
) -> None:
    """In the place of PyPI, which PDM asks first otherwise."""
    with serving(logged_in) as served:
        (project / "pyproject.toml").write_text(
            "[project]\n"
            'name = "tiny"\nversion = "1.0"\nrequires-python = ">=3.11"\n'
            'dependencies = ["secret-lib"]\n'
            "[tool.pdm]\ndistribution = false\n[[tool.pdm.source]]\n"
            f'name = "pypi"\nurl = "{served.url}/python/simple/"\n'
        )
        extra = {"PDM_CHECK_UPDATE": "false"}
        pdm = [toolbox.program("pdm"), "install", "--project", str(project)]
        done = logged_in.run(*pdm, check=True, **extra)
    lock = (project / "pdm.lock").read_text()
    assert 'name = "secret-lib"\nversion = "1.0"' in lock
    assert 'name = "public-lib"\nversion = "2.0"' in lock
    assert done.returncode == 0
