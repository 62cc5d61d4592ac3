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
from support.desks import machine_of
from support.pips import NEWEST, RUNNING, Environments, Pip, register
from support.workers import shared_folder
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
def tools(
    site: Site, user: User, pypi: PyPI, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> Iterator[Tools]:
    """Give the tools of somebody who has registered the index, and is not logged in."""
    poetries, pdms, pips = (
        shared_folder(tmp_path_factory, name) for name in ("poetries", "pdms", "pips")
    )
    variables = {"REQUESTS_CA_BUNDLE": site.net.ca_file, "PIP_CONFIG_FILE": "/dev/null"}
    with machine_of(user, site, **variables) as machine:
        del user.variables["CI"]
        register(user, site.index(fallback="pypi"))
        poetry = Desk(machine, pypi, Poetries(poetries).poetry(NEWEST_POETRY), "with-poetry")
        pdm = PdmDesk(machine, pypi, Pdms(pdms).pdm(NEWEST_PDM), "with-pdm")
        python = Environments(pips).make(tmp_path / "env", Pip(RUNNING, NEWEST))
        yield Tools(machine, pypi, poetry, pdm, python)
