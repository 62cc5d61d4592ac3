"""The plugins' wheels, installed as their pages say, in an empty home."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from run.kit import Machine
from support.tooling import TOOLS, UV, Toolbox, uv_cache
from support.workshop import Builder, call, clean_environment

from crane_cli.tools import PLUGINS

STATUS = {
    "pdm": ("pdm", "crane", "status"),
    "hatch": ("hatch-crane", "status"),
}


@pytest.mark.parametrize("tool", STATUS)
def test_a_plugin_is_installed_as_its_page_says(
    tool: str, ada: Machine, toolbox: Toolbox, tmp_path: Path, builder: Builder
) -> None:
    """The registry here lacks what `poetry self add` asks for; see tests/poetry/test_added.py."""
    constraints = tmp_path / "constraints.txt"
    wheels = [builder.build(package)[1] for package in ("core", "cli", f"{tool}-plugin")]
    names = ("crane-core", "crane-cli", PLUGINS[tool])
    lines = [f"{n} @ {w.as_uri()}" for n, w in zip(names, wheels, strict=True)]
    constraints.write_text("\n".join(lines))
    home = ada.user.home
    env = clean_environment() | {
        "HOME": str(home), "USERPROFILE": str(home), "UV_CACHE_DIR": uv_cache(),
        "PATH": os.pathsep.join([str(Path(UV).parent), os.environ["PATH"]]),
    }  # fmt: skip
    pipx, pip_args = toolbox.program("pipx"), f"--constraints {constraints}"
    where = ("--backend", "uv", "--python", sys.executable)
    overrides = tmp_path / "overrides.txt"
    # Mirrors rebuild certifi with their own certificates and another version number.
    overrides.write_text("certifi\n")
    loosened = ("--pip-args", f"--override {overrides}")
    call(pipx, "install", *where, *loosened, TOOLS[tool][0], env=env, cwd=home)
    programs = home / ".local" / "bin"
    if tool == "pdm":
        env["PIP_CONSTRAINT"] = str(constraints)
        call(programs / "pdm", "self", "add", PLUGINS[tool], env=env, cwd=home)
    else:
        more = ["--include-apps"] if tool == "hatch" else []
        call(pipx, "inject", *more, "--pip-args", pip_args, tool, PLUGINS[tool], env=env, cwd=home)

    command, *arguments = STATUS[tool]
    done = ada.user.run(str(programs / command), *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "logged in as ada" in done.stdout
    assert shutil.which(command, path=str(programs))
