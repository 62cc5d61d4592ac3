"""The plugin as Poetry itself installs it, by its page's command and table, from PyPI."""

from __future__ import annotations

import shutil

from poetry.kit import NEWEST, Desk, Poetries
from support.repacked import put_stubs, repack

OURS = "crane: python: authenticated as ada via crane"


def test_requires_plugins_and_self_add_and_remove(desk: Desk, poetries: Poetries) -> None:
    packages = next(desk.program.parent.parent.glob("lib/python3*/site-packages"))
    put_stubs(desk.pypi.folder, repack(packages, desk.pypi.folder), packages)
    # Without the plugin, and of this test alone, since it is changed.
    bare = poetries.environment("poetry-added", f"poetry=={NEWEST}", plugin=False) / "poetry"
    desk.site.add_private("firm-lib")
    desk.add_pypi("firm-lib", "9.0")
    desk.write("firm-lib")
    desk.run("lock")

    desk.machine.end_all()  # the agent, too, is to be started from the project's folder
    desk.program = bare
    desk.write("firm-lib", more='requires-plugins.poetry-plugin-crane = ">=0.1"')
    # The run that fetches the plugin goes without it, as the page says.
    assert desk.call("install").returncode == 1
    assert OURS in desk.run("install", "-v")
    assert desk.installed() == {"firm_lib-1.0"}

    shutil.rmtree(desk.project / ".poetry")
    desk.write("firm-lib")
    assert "crane" not in desk.run("list")
    desk.run("self", "add", "poetry-plugin-crane")
    assert OURS in desk.run("lock", "-v", "--regenerate")
    assert desk.locked["firm-lib"]["version"] == "1.0"
    # A plugin must never stand in the way of its own removal; pip would take half a minute for it.
    desk.config_file.write_text("[[")
    assert "Removing crane-core" in desk.run("self", "remove", "poetry-plugin-crane", "--dry-run")
