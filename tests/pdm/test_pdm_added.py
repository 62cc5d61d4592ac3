"""The plugin as PDM itself installs it for one project, from PyPI."""

from __future__ import annotations

import pytest
from pdm.kit import NEWEST, PdmDesk, Pdms
from support.repacked import put_stubs, repack

# Older than any beside which the plugin can be: it needs an older hishel.
OLD = ("pdm==2.20.1", "hishel<1", "unearth<0.19")


@pytest.mark.parametrize("wanted", [(f"pdm=={NEWEST}", "hishel<2"), OLD], ids=" ".join)
def test_plugins_of_a_project(desk: PdmDesk, pdms: Pdms, wanted: tuple[str, ...]) -> None:
    """`pdm install --plugins` puts it into a folder that only PDM's process knows."""
    packages = next(desk.program.parent.parent.glob("lib/python3*/site-packages"))
    put_stubs(desk.pypi.folder, repack(packages, desk.pypi.folder), packages)
    desk.program = pdms.environment(f"bare-{wanted[0]}", *wanted, plugin=False) / "pdm"
    desk.site.add_private("firm-lib", requires=["open-lib"])
    desk.add_pypi("firm-lib", "9.0")
    desk.add_pypi("open-lib", "2.0")
    # Without the source: PDM would ask a keyring for its password, for each name once.
    desk.write(sources="", more='plugins = ["pdm-crane"]')
    desk.run("install", "--plugins")
    desk.write("firm-lib", more='plugins = ["pdm-crane"]')

    printed = desk.run("install", "-v")  # locks, too

    assert "crane: python: authenticated as ada via crane" in printed
    assert desk.versions == {"firm-lib": "1.0", "open-lib": "2.0"}
    assert desk.installed() == {"firm_lib-1.0", "open_lib-2.0"}
    assert desk.pypi.asked("firm-lib") == []
