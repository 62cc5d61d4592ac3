"""The tools whose resolutions are timed: pip, uv, Poetry and PDM; nothing is kept between runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.closure import PIP, WANTED
from benchmarks.environments import environment
from benchmarks.upstream import PASSWORD, USER

UV = ("uv==0.13.9",)
POETRY = ("poetry==2.5.1",)
PDM = ("pdm==2.29.4", "hishel<2")
VERSIONS = (*PIP, *UV, *POETRY)
# What the machine needs to run a program; what steers the tools stays outside.
KEPT = ("PATH", "LANG", "LD_LIBRARY_PATH", "SYSTEMROOT")


@dataclass(frozen=True)
class Step:
    """A command to be timed, and how to read which projects it resolved to."""

    command: list[str]
    environ: Mapping[str, str]
    resolved: Callable[[], set[str]]


Client = Callable[[str, Path], Step]


def pip(index_url: str, folder: Path) -> Step:
    """Resolve with pip, without installing."""
    report = folder / "report.json"
    command = [
        str(environment("pip", *PIP) / "python"), "-m", "pip", "install", "--quiet",
        "--dry-run", "--ignore-installed", "--only-binary", ":all:", "--report", str(report),
        "--index-url", index_url, "--cache-dir", str(folder / "cache"),
        "--requirement", str(WANTED),
    ]  # fmt: skip
    environ = {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def resolved() -> set[str]:
        entries = json.loads(report.read_text())["install"]
        return {f"{e['metadata']['name']} {e['metadata']['version']}" for e in entries}

    return Step(command, environ, resolved)


def uv(index_url: str, folder: Path) -> Step:
    """Resolve with uv."""
    programs, output = environment("uv", *UV), folder / "requirements.txt"
    command = [
        str(programs / "uv"), "pip", "compile", "--quiet", "--no-config", "--no-header",
        "--no-annotate", "--only-binary", ":all:", "--python", str(programs / "python"),
        "--default-index", index_url, "--cache-dir", str(folder / "cache"),
        "--output-file", str(output), str(WANTED),
    ]  # fmt: skip
    return Step(command, {}, lambda: set(output.read_text().splitlines()))


def poetry(index_url: str, folder: Path) -> Step:
    """Resolve with Poetry, for all systems, and Python from this one on to the next minor."""
    login, address = index_url.rpartition("@")[::2]
    major, minor, micro = sys.version_info[:3]
    source = {"name": "bench", "url": f"http://{address.removeprefix('http://')}"}
    wanted = WANTED.read_text().split()
    (folder / "pyproject.toml").write_text(
        "[project]\n"
        'name = "bench"\nversion = "0"\n'
        f'requires-python = ">={major}.{minor}.{micro},<{major}.{minor + 1}"\n'
        f"dependencies = {json.dumps(wanted)}\n"
        "[tool.poetry]\npackage-mode = false\n"
        "[[tool.poetry.source]]\n"
        f'name = "bench"\nurl = "{source["url"]}"\npriority = "primary"\n'
    )
    command = [
        str(environment("poetry", *POETRY) / "poetry"), "lock", "--no-interaction",
        "--directory", str(folder),
    ]  # fmt: skip
    environ = {
        "POETRY_CACHE_DIR": str(folder / "cache"),
        "POETRY_CONFIG_DIR": str(folder / "config"),
        "POETRY_VIRTUALENVS_CREATE": "false",
        "POETRY_KEYRING_ENABLED": "false",
    }
    if login:
        environ["POETRY_HTTP_BASIC_BENCH_USERNAME"] = USER
        environ["POETRY_HTTP_BASIC_BENCH_PASSWORD"] = PASSWORD

    def resolved() -> set[str]:
        entries = tomllib.loads((folder / "poetry.lock").read_text())["package"]
        return {f"{entry['name']} {entry['version']}" for entry in entries}

    return Step(command, environ, resolved)


def pdm(index_url: str, folder: Path) -> Step:
    """Resolve with PDM, for all systems, and Python from this one on to the next minor."""
    scheme, _, rest = index_url.partition("://")
    _, at, address = rest.rpartition("@")
    major, minor, micro = sys.version_info[:3]
    credentials = f'username = "{USER}"\npassword = "{PASSWORD}"\n' if at else ""
    wanted = WANTED.read_text().split()
    (folder / "pyproject.toml").write_text(
        "[project]\n"
        'name = "bench"\nversion = "0"\n'
        f'requires-python = ">={major}.{minor}.{micro},<{major}.{minor + 1}"\n'
        f"dependencies = {json.dumps(wanted)}\n"
        "[tool.pdm]\ndistribution = false\n"
        "[[tool.pdm.source]]\n"
        f'name = "pypi"\nurl = "{scheme}://{address}"\n{credentials}'
    )
    programs = environment("pdm", *PDM)
    (folder / ".pdm-python").write_text(str(programs / "python"))
    command = [str(programs / "pdm"), "lock", "--quiet", "--project", str(folder)]
    environ = {
        "PDM_CACHE_DIR": str(folder / "cache"),
        "PDM_CONFIG_FILE": str(folder / "config.toml"),
        "PDM_LOG_DIR": str(folder / "logs"),
        "PDM_CHECK_UPDATE": "false",
    }

    def resolved() -> set[str]:
        entries = tomllib.loads((folder / "pdm.lock").read_text())["package"]
        return {f"{entry['name']} {entry['version']}" for entry in entries}

    return Step(command, environ, resolved)


CLIENTS: dict[str, Client] = {"pip": pip, "uv": uv, "Poetry": poetry}


@dataclass(frozen=True)
class Timing:
    """Seconds that a tool took, and how many of them its own work was."""

    wall: float
    processor: float


def timed(step: Step, folder: Path) -> Timing:
    """Run it and return what it took. Raises `RuntimeError` with its output if it fails."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    before, start = _children(), time.perf_counter()
    done = subprocess.run(
        step.command,
        check=False,
        env={**kept, "HOME": str(folder), **step.environ},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    timing = Timing(time.perf_counter() - start, _children() - before)
    if done.returncode:
        raise RuntimeError(f"{step.command}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
    return timing


def _children() -> float:
    """Return the processor time of all children that have ended."""
    times = os.times()
    return times.children_user + times.children_system
