"""Fixtures for the tools of others: two indexes, in which a private name is a public one too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from forward.rig import Site
from run.conftest import ada, machine, net, site
from run.kit import Machine
from support.tooling import UV, toolbox

__all__ = ["ada", "machine", "needs", "net", "pips", "site", "toolbox"]


@pytest.fixture
def needs(ada: Machine) -> Site:
    """Give a private project that needs a private and a public one, and strangers of those names.

    The strangers have higher versions.
    """
    site = ada.site
    tool = "def main():\n  import firm_dep, open_lib\n  print('made of', firm_dep.__version__)\n"
    site.add_private(
        "firm-lib", requires=["firm-dep", "open-lib"], files={"firm_lib/__init__.py": tool},
        scripts={"firm-tool": "firm_lib:main"},
    )  # fmt: skip
    site.add_private("firm-dep", "2.0")
    site.add_public("open-lib")
    site.add_public("firm-lib", "9.0")
    site.add_public("firm-dep", "9.0")
    return site


@pytest.fixture
def pips(needs: Site, ada: Machine) -> dict[str, str]:
    """Give settings of pip and uv for both indexes, as people have them, and uv itself."""
    return {
        "PIP_INDEX_URL": needs.index_url,
        "PIP_EXTRA_INDEX_URL": needs.public_url,
        "UV_INDEX": needs.index_url,
        "UV_DEFAULT_INDEX": needs.public_url,
        "PATH": f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}",
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a folder for a project."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder
