"""A project as they are: two dozen dependencies, private and public, and one of each oddity."""

from __future__ import annotations

import pytest
from idp.oidc import Realm
from pdm.kit import VERSIONS, PdmDesk, source
from support.real_project import LOCKED, NEEDS, publish


@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_project(desk: PdmDesk, realm: Realm) -> None:
    tools = publish(desk.site, desk.add_pypi, desk.machine.user, realm)
    desk.write(
        *NEEDS,
        sources=desk.source("firm") + source("tools", tools.url),
    )

    lines = desk.run("lock", "-v").splitlines()
    printed = desk.run("install")

    locked = desk.versions
    assert locked == LOCKED
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
