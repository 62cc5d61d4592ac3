"""A project as they are: two dozen dependencies, private and public, and one of each oddity."""

from __future__ import annotations

import pytest
from idp.oidc import Realm
from poetry.kit import VERSIONS, Desk, source
from support.real_project import LOCKED, NEEDS, publish


@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_project(desk: Desk, realm: Realm) -> None:
    tools = publish(desk.site, desk.add_pypi, desk.machine.user, realm)
    desk.write(
        *NEEDS,
        sources=desk.source("firm")
        + source("tools", tools.url, "primary")
        + source("PyPI", None, "primary"),
    )

    lines = desk.run("lock", "-v").splitlines()
    printed = desk.run("install", POETRY_INSTALLER_MAX_WORKERS="6")

    locked = {name: package["version"] for name, package in desk.locked.items()}
    assert locked == LOCKED
    assert len(locked) == 26
    assert {name.partition("-")[0] for name in desk.installed()} == {
        name.replace("-", "_") for name in locked
    }
    assert sorted(line for line in lines if line.startswith("crane: ")) == [
        f"crane: {index}: authenticated as ada via crane" for index in ("python", "tools")
    ]
    assert "127.0.0.1" not in printed
    assert desk.mentions("127.0.0.1") == []
    assert len(desk.machine.agents()) == 1
    # No private name was told to PyPI, and no public server has seen a login.
    assert desk.pypi.asked("firm-") + desk.pypi.asked("tool-") == []
    assert not any("authorization" in headers for _, headers in desk.pypi.seen)
