"""Every distribution is built, and what users install works with no workspace around."""

from __future__ import annotations

import os
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.workshop import SCRIPTS, Builder, call, clean_environment

PACKAGES = ("core", "cli", "devserver", "poetry-plugin", "pdm-plugin", "hatch-plugin")


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return Builder(tmp_path_factory.mktemp("distributions"))


@pytest.mark.parametrize("package", PACKAGES)
def test_sdist_and_wheel_are_complete(builder: Builder, package: str) -> None:
    """Both hold the licence and the code, typed; neither holds tests or rubbish."""
    sdist, wheel = builder.build(package)
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names
    with zipfile.ZipFile(wheel) as archive:
        wheel_names = archive.namelist()
    assert any(name.endswith("licenses/LICENSE") for name in wheel_names)
    assert any(name.endswith("py.typed") for name in wheel_names)
    assert not [n for n in [*names, *wheel_names] if "__pycache__" in n or "/tests/" in n]


def test_the_wheels_alone_run_the_whole_demo(builder: Builder, tmp_path: Path) -> None:
    """In a fresh environment, in an empty home, with nothing of this repository on the path."""
    python = tmp_path / "venv" / SCRIPTS / "python"
    wheels = [builder.build(package)[1] for package in ("core", "cli", "devserver")]
    builder.uv("venv", "--no-config", "--python", sys.executable, tmp_path / "venv")
    builder.uv("pip", "install", "--no-config", "--python", python, *wheels)
    home = tmp_path / "home"
    home.mkdir()
    env = clean_environment() | {"HOME": str(home), "USERPROFILE": str(home)}
    for name in ("PIP_CERT", "CI"):
        if name in os.environ:
            env[name] = os.environ[name]

    where = call(python, "-c", "import crane_core; print(crane_core.__file__)", env=env, cwd=home)
    done = call(python.with_name("crane"), "demo", "--yes", env=env, cwd=home)

    assert str(tmp_path) in where
    assert "Hello from a private package!" in done
    assert "with ada's login" in done
    assert "with no token" in done
    assert not list(home.glob(".config/crane")), "the demo touches nothing of the user's own"
