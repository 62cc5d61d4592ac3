"""Fixtures for uv: a machine in a small internet, whose index takes a static login as well."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from forward.rig import PRIVATE_HOST, Site
from idp.oidc import Realm
from run.conftest import machine, net, site
from run.kit import Machine
from support.pips import log_in
from support.tooling import UV, TakesBasicToo, toolbox
from support.world import User

__all__ = ["ada", "machine", "net", "server", "site", "toolbox"]


@pytest.fixture
def server(site: Site, realm: Realm, user: User) -> Iterator[TakesBasicToo]:
    """Let the index take a fixed name and password as well."""
    server = TakesBasicToo(site.crane, log_in(user, realm))
    with site.net.host(server, PRIVATE_HOST):
        yield server


@pytest.fixture
def ada(server: TakesBasicToo, machine: Machine, realm: Realm, tmp_path: Path) -> Machine:
    """Give the machine with ada logged in, uv on PATH, and a cache that can be looked at.

    The server comes first: it ends when the agents have, which keep connections to it.
    """
    log_in(machine.user, realm, machine.site.index())
    variables = machine.user.variables
    variables.pop("UV_NO_CACHE")
    variables["UV_CACHE_DIR"] = str(tmp_path / "uv-cache")
    variables["PATH"] = f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}"
    return machine
