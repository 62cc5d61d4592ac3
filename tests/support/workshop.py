"""Distributions built as a release builds them, by their own backends."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import uv

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "packages"
SCRIPTS = "Scripts" if os.name == "nt" else "bin"

# The developer's own settings must not reach the tools; certificates and uv's index must.
DISTURBING = ("PIP_", "POETRY_", "PDM_", "HATCH_", "PYTHON", "VIRTUAL_ENV", "XDG_", "CONDA_")


def clean_environment() -> dict[str, str]:
    """This process's environment without what would disturb uv or a tool."""
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(DISTURBING)}
    return kept | {"UV_PYTHON_DOWNLOADS": "never"}


def call(*command: str | Path, env: dict[str, str], cwd: Path, umask: int = -1) -> str:
    """Run a command that must succeed; answer all it wrote."""
    done = subprocess.run(
        command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, umask=umask,
        stderr=subprocess.STDOUT, text=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command} exited with {done.returncode}:\n{done.stdout}"
    return done.stdout


class Builder:
    """Builds each distribution once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._env = clean_environment()

    def uv(self, *arguments: str | Path) -> None:
        call(uv.find_uv_bin(), *arguments, env=self._env, cwd=self.root)

    @cache  # noqa: B019  a session's worth of builds, on purpose
    def build(self, folder: str) -> tuple[Path, Path]:
        """The sdist and the wheel of a package, built as a release builds them."""
        return build(folder, self.root / f"{folder}-dist", env=self._env)


def build(
    folder: str, out: Path, *options: str | Path, env: dict[str, str], umask: int = -1
) -> tuple[Path, Path]:
    """Run `dev.py build` for one package."""
    task = (sys.executable, "-m", "devtasks.build")
    call(*task, "--out", out, *options, folder, env=env, cwd=ROOT, umask=umask)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel
