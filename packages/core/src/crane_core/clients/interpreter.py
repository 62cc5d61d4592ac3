"""Which pip: the one of the user's Python, never silently the one crane itself runs in."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from crane_core.errors import InterpreterNotFound, ToolTooOld
from crane_core.programs import find_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OLDEST_PIP = Version("22.2")
PROBE_SECONDS = 60.0
# One process tells the version and, through pip's own reading of its files, the configuration.
_PROBE = """\
import json, sys
try:
    import pip
except ImportError:
    print(json.dumps(None)); sys.exit(0)
print(json.dumps([pip.__version__, sys.version.split()[0]]), flush=True)
import runpy
sys.argv = ["pip", "config", "list", *sys.argv[1:]]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True, slots=True)
class Pip:
    """A pip, the interpreter it belongs to and its configuration (`pip config list`)."""

    python: str
    version: Version
    python_version: str
    configuration: dict[str, str]

    def setting(self, name: str, command: str | None) -> tuple[str, str] | None:
        """Return an option's value and whence: environment first, then command, then global."""
        for section in (":env:", command or "", "global"):
            if value := self.configuration.get(f"{section}.{name}", "").strip():
                return value, section
        return None


def find_python(environ: Mapping[str, str], explicit: str | None) -> str:
    """Return the interpreter whose pip to use.

    `--python` if given; else the active virtual or conda environment's; else the first `python3`
    or `python` on PATH, passing over crane's own environment where a tool manager made that for
    crane alone. Raises `InterpreterNotFound`.
    """
    if explicit is not None:
        return _explicit(explicit, environ)
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if prefix := environ.get(variable):
            if python := _python_in(Path(prefix)):
                return python
            if variable == "VIRTUAL_ENV":
                # Going on would install into another environment than the one that looks active.
                raise InterpreterNotFound(
                    f"VIRTUAL_ENV names {prefix}, which holds no Python", hint="deactivate it"
                )
    for candidate in _on_path(environ):
        if not _is_crane_alone(candidate):
            return candidate
    raise InterpreterNotFound(
        "no Python found on PATH", hint="activate a virtual environment, or give --python PATH"
    )


def probe(python: str, environ: Mapping[str, str], *, isolated: bool = False) -> Pip:
    """Ask an interpreter about its pip; `isolated` as pip's own option of that name.

    Raises `InterpreterNotFound` or `ToolTooOld`.
    """
    try:
        done = subprocess.run(
            [python, "-c", _PROBE, *(["--isolated"] if isolated else [])],
            env={**environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
        first, *lines = done.stdout.decode("utf-8", "replace").splitlines() or [""]
        found = json.loads(first)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise InterpreterNotFound(
            f"{python} does not run: {type(error).__name__}", hint="give another with --python PATH"
        ) from error
    if found is None:
        raise InterpreterNotFound(
            f"{python} has no pip", hint=f"run: {python} -m ensurepip, or give --python PATH"
        )
    version = Version(found[0])
    if version < OLDEST_PIP:
        raise ToolTooOld(
            f"pip {version} of {python} is too old for crane, which needs {OLDEST_PIP}",
            hint=f"run: {python} -m pip install --upgrade pip",
        )
    return Pip(python, version, found[1], dict(_settings(lines)))


def _settings(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        key, found, value = line.partition("=")
        if not found:
            continue
        try:
            yield key, str(ast.literal_eval(value))
        except (ValueError, SyntaxError):
            continue


def _explicit(python: str, environ: Mapping[str, str]) -> str:
    path = Path(python).expanduser()
    search = environ.get("PATH")
    found = _python_in(path) if path.is_dir() else find_program(str(path), search)
    if found is None:
        raise InterpreterNotFound(
            f"--python {python} is no interpreter and no environment", hint="check the path"
        )
    return found


def _python_in(prefix: Path) -> str | None:
    # Conda on Windows has python.exe at its root, virtual environments have it in Scripts.
    places = ("Scripts/python.exe", "python.exe") if sys.platform == "win32" else ("bin/python",)
    return next((str(p) for place in places if (p := prefix / place).is_file()), None)


def _on_path(environ: Mapping[str, str]) -> Iterator[str]:
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        for name in ("python", "python3"):
            if found := find_program(name, folder or os.curdir):
                yield found


def _is_crane_alone(python: str) -> bool:
    """Whether this is an environment that pipx or `uv tool` made to hold crane."""
    own = Path(sys.prefix)
    if Path(python).parent.resolve() != Path(sys.executable).parent.resolve():
        return False
    return (own / "pipx_metadata.json").exists() or (own / "uv-receipt.toml").exists()
