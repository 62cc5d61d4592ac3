"""Every distribution is built, and what users install works with no workspace around."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.workshop import PACKAGES as FOLDER
from support.workshop import ROOT, SCRIPTS, Builder, build, call, clean_environment

PACKAGES = ("core", "cli", "devserver", "poetry-plugin", "pdm-plugin", "hatch-plugin")


@pytest.mark.parametrize("package", PACKAGES)
def test_sdist_and_wheel_are_complete_and_made_anew_they_are_the_same_bytes(
    builder: Builder, package: str, tmp_path: Path
) -> None:
    """Both hold the licence and the code, typed; neither holds tests or rubbish.

    The second time they are made somewhere else, of files with other times and modes that were
    made in another order, among rubbish, by somebody whose files nobody else may read.
    """
    sdist, wheel = builder.build(package)
    with tarfile.open(sdist) as archive:
        entries = archive.getmembers()
        names = {entry.name.partition("/")[2] for entry in entries}
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names
    with zipfile.ZipFile(wheel) as archive:
        wheel_names = archive.namelist()
    assert any(name.endswith("licenses/LICENSE") for name in wheel_names)
    assert any(name.endswith("py.typed") for name in wheel_names)
    assert any(name.endswith("share/man/man1/crane.1") for name in wheel_names) is (
        package == "cli"
    )
    assert not [n for n in [*names, *wheel_names] if "__pycache__" in n or "/tests/" in n]
    assert {entry.mode for entry in entries if entry.isfile()} == {0o644}

    source, env = clone(package, tmp_path / "somewhere else"), clean_environment()
    again = build(package, tmp_path / "again", "--source", source, env=env, umask=0o077)
    assert [(f.name, f.read_bytes()) for f in again] == [
        (f.name, f.read_bytes()) for f in (sdist, wheel)
    ]


def clone(package: str, root: Path) -> Path:
    """Return a folder with another copy of a package, with nothing the same but the content."""
    files = sorted(path for path in (FOLDER / package).rglob("*") if path.is_file())
    for number, path in enumerate(reversed([ROOT / ".gitignore", *files])):
        copy = root / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        copy.chmod(0o777 if number % 2 else 0o400)
        os.utime(copy, (10**9 + number, 10**9 + number))
    litter = root / "packages" / package / "src" / "build" / "__pycache__" / "litter.pyc"
    litter.parent.mkdir(parents=True)
    litter.write_bytes(b"")
    call("git", "init", "--quiet", env=clean_environment(), cwd=root)
    return root / "packages"


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
