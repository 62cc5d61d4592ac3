"""The plugin as Hatch itself installs it for a project that asks for it, from PyPI."""

from __future__ import annotations

from hatch.kit import NEWEST, HatchDesk, Hatches
from support.repacked import put_stubs, repack


def test_a_project_that_requires_the_plugin(desk: HatchDesk, hatches: Hatches) -> None:
    """It serves the very run that installs it, if the project names the collector, too."""
    packages = next(desk.program.parent.parent.glob("lib/python3*/site-packages"))
    put_stubs(desk.pypi.folder, repack(packages, desk.pypi.folder), packages)
    # Without the plugin, and of this test alone, since it is changed.
    desk.program = hatches.environment("bare", f"hatch=={NEWEST}", plugin=False) / "hatch"
    desk.site.add_private("firm-lib")
    desk.add_pypi("firm-lib", "9.0")
    desk.write(
        "firm-lib",
        more='[tool.hatch.env]\nrequires = ["hatch-crane"]\n[tool.hatch.env.collectors.crane]\n'
        f'[tool.hatch.envs.default.env-vars]\nPIP_EXTRA_INDEX_URL = "{desk.site.index_url}"',
    )

    printed = desk.run("-v", "env", "create")

    assert "crane: python: authenticated as ada via crane" in printed
    assert desk.installed() == {"firm_lib-1.0"}
