"""A project as they are: two dozen dependencies, private and public, and one of each oddity."""

from __future__ import annotations

import pytest
from hatch.kit import NEWEST, VERSIONS, HatchDesk
from idp.oidc import Realm
from support.real_project import LOCKED, NEEDS, publish
from support.tooling import Toolbox


@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_project(desk: HatchDesk, realm: Realm, toolbox: Toolbox, version: str) -> None:
    """Installed itself, by both installers; newer versions lock it, and install from the lock."""
    tools = publish(desk.site, desk.add_pypi, desk.machine.user, realm)
    desk.add_pypi_files(*toolbox.wheels("hatchling==1.33.0", "editables", "build[virtualenv]",
                                        "setuptools==80.9.0"))  # fmt: skip
    listed = ", ".join(f'"{need}"' for need in NEEDS)
    (desk.project / "app").mkdir()
    (desk.project / "app" / "__init__.py").touch()
    locked = 'locked = true\nlock-filename = "pylock.toml"\n' if version == NEWEST else ""
    (desk.project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[project]\nname = "app"\nversion = "1.0"\nrequires-python = ">=3.11"\n'
        f"dependencies = [{listed}]\n"
        f'[tool.hatch.envs.fast]\ninstaller = "uv"\n{locked}'
    )
    both = f"{desk.site.index_url} {tools.url}"

    printed = desk.run("-v", "env", "create", PIP_EXTRA_INDEX_URL=both)
    assert "crane: tools: authenticated as ada via crane" in printed
    installed = {name.partition("-")[0] for name in desk.installed()}
    assert installed == {name.replace("-", "_") for name in LOCKED} | {"app"}
    assert {"firm_old-1.0", "tool_lib-1.0", "firm_0-1.0", "open_0-1.1"} <= desk.installed()
    desk.run("env", "prune")
    printed += desk.run("run", "fast:python", "-c", "import app", UV_INDEX=both)
    assert {name.partition("-")[0] for name in desk.installed()} == installed

    if version == NEWEST:
        lock = (desk.project / "pylock.toml").read_text()
        assert f"{desk.site.index_url}/firm-0/firm_0-1.0-py3-none-any.whl" in lock
        assert f"{tools.url}/tool-lib/" in lock
    assert "127.0.0.1" not in printed
    assert desk.mentions("127.0.0.1") == []
    assert len(desk.machine.agents()) == 1
    # No private name was told to PyPI, and no public server has seen a login.
    assert desk.pypi.asked("firm-") + desk.pypi.asked("tool-") == []
    assert not any("authorization" in headers for _, headers in desk.pypi.seen)
