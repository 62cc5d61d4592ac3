"""Fixtures of several tools at once: the desks of Poetry and PDM belong to one user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from forward.rig import Site
from pdm.kit import NEWEST as NEWEST_PDM
from pdm.kit import PdmDesk, Pdms
from poetry.kit import NEWEST as NEWEST_POETRY
from poetry.kit import Desk, Poetries
from poetry.pypi import PyPI
from run.kit import Machine
from support.pips import NEWEST, RUNNING, Environments, Pip, register
from support.world import User


@dataclass(frozen=True)
class Tools:
    """A user's tools, none of which has run yet."""

    machine: Machine
    pypi: PyPI
    poetry: Desk
    pdm: PdmDesk
    python: Path


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder that the workers of a test run have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "popen-gw" in base.name else base


@pytest.fixture
def tools(site: Site, user: User, pypi: PyPI, shared: Path, tmp_path: Path) -> Iterator[Tools]:
    """Give the tools of somebody who has registered the index, and is not logged in."""
    user.variables = {
        "HTTPS_PROXY": site.net.url(),
        "SSL_CERT_FILE": site.net.ca_file,
        "REQUESTS_CA_BUNDLE": site.net.ca_file,
        "PIP_CERT": "",
        "PIP_CONFIG_FILE": "/dev/null",
    }
    register(user, site.index(fallback="pypi"))
    for name in ("poetries", "pdms", "pips"):
        (shared / name).mkdir(exist_ok=True)
    machine = Machine(user, site)
    poetry = Desk(machine, pypi, Poetries(shared / "poetries").poetry(NEWEST_POETRY))
    pdm = PdmDesk(machine, pypi, Pdms(shared / "pdms").pdm(NEWEST_PDM))
    poetry.folder_name, pdm.folder_name = "with-poetry", "with-pdm"
    python = Environments(shared / "pips").make(tmp_path / "env", Pip(RUNNING, NEWEST))
    yield Tools(machine, pypi, poetry, pdm, python)
    machine.end_all()
