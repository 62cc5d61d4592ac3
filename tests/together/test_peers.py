"""A plugin and an agent of different releases: each lives in an environment of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from idp.oidc import Realm
from run.kit import says
from support.pips import log_in
from together.conftest import Tools

import crane_core


def another_core(folder: Path, *, protocol: int, oldest: int) -> dict[str, str]:
    """Return variables by which Python finds a core that speaks another protocol.

    It also has a field of a wish that this one does not know.
    """
    package = folder / f"core-{protocol}-{oldest}" / "crane_core"
    shutil.copytree(Path(crane_core.__file__).parent, package)
    change(package / "agent" / "protocol.py", "PROTOCOL = 1", f"PROTOCOL = {protocol}")
    change(package / "agent" / "protocol.py", "OLDEST = 1", f"OLDEST = {oldest}")
    change(
        package / "gateway" / "views.py", '"owner": self.owner', '"new": [1], "owner": self.owner'
    )
    return {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def ada(tools: Tools, realm: Realm) -> Tools:
    """Give the tools of ada, who is logged in, with a project."""
    log_in(tools.machine.user, realm, tools.machine.site.index(fallback="pypi"))
    tools.machine.site.add_private("firm-lib")
    tools.poetry.add_pypi("firm-lib", "9.0")
    tools.poetry.write("firm-lib")
    return tools


def test_a_newer_plugin_uses_a_running_agent_as_long_as_they_have_a_protocol_in_common(
    ada: Tools, tmp_path: Path
) -> None:
    ada.machine.user.crane("run", "--", "true", check=True)
    agent = ada.machine.agent()

    ada.poetry.run("lock", **another_core(tmp_path, protocol=2, oldest=1))

    assert ada.poetry.locked["firm-lib"]["version"] == "1.0"
    assert ada.machine.agent() == agent
    incompatible = ada.poetry.call(
        "lock", "--regenerate", "-n", **another_core(tmp_path, protocol=3, oldest=2)
    )
    assert incompatible.returncode == 1
    assert "too old for this one" in incompatible.stderr
    assert "run: crane agent stop" in " ".join(incompatible.stderr.split())
    assert "Traceback" not in says(incompatible)
    assert ada.pypi.asked("firm-lib") == []


def test_an_older_plugin_uses_a_running_agent_in_the_same_way(ada: Tools, tmp_path: Path) -> None:
    newer = another_core(tmp_path, protocol=2, oldest=1)
    ada.machine.user.crane("run", "--", "true", check=True, **newer)
    agent = ada.machine.agent()

    ada.poetry.run("lock")

    assert ada.poetry.locked["firm-lib"]["version"] == "1.0"
    assert ada.machine.agent() == agent
    ada.machine.end_all()
    much_newer = another_core(tmp_path, protocol=3, oldest=2)
    ada.machine.user.crane("run", "--", "true", check=True, **much_newer)
    too_old = ada.poetry.call("lock", "--regenerate", "-n")
    assert too_old.returncode == 1
    assert "too new for this one" in too_old.stderr
    assert "update crane, or run: crane agent stop" in " ".join(too_old.stderr.split())
    assert "Traceback" not in says(too_old)
    assert ada.pypi.asked("firm-lib") == []
