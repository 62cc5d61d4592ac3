"""A tool that comes to an index's host finds begun what it is going to need."""

from __future__ import annotations

from pathlib import Path

import pytest
from forward import raw
from forward.net import Net
from forward.rig import PRIVATE_HOST, Rig, Site, forward
from gateway.harness import USUAL, Home
from run.kit import until

from crane_core.gateway.readiness import CONNECTIONS
from crane_core.gateway.settings import Settings

TARGET = f"{PRIVATE_HOST}:443"


def test_before_it_has_greeted_us(rig: Rig, site: Site, net: Net) -> None:
    """Where pages are, once in the agent's life; connections for files, once in a minute."""
    site.add_private("lib")
    for _ in range(2):
        with raw.tunnel(rig, rig.open(), TARGET):
            until(lambda: [r.path for r in site.crane.requests] == ["/python/simple/"])
            until(lambda: net.targets.count(TARGET) == 1 + CONNECTIONS)
            until(lambda: is_at_rest(rig))
    assert site.crane.requests[0].header("authorization")

    view = rig.open()
    assert raw.get(rig, view, f"https://{TARGET}/python/simple/lib/").status == 200
    opened = net.targets.count(TARGET)
    name = "lib-1.0-py3-none-any.whl"
    assert raw.get(rig, view, f"https://{TARGET}/python/lib/{name}").status == 200
    assert [r.path for r in site.crane.requests].count("/python/simple/") == 1
    assert net.targets.count(TARGET) == opened


@pytest.mark.parametrize("login", [False, True], ids=["no login", "switched off"])
def test_nobody_is_asked_for_a_login_and_nothing_if_it_is_off(
    site: Site, home: Home, net: Net, tmp_path: Path, login: bool
) -> None:
    index = site.index()
    if login:
        home.login(index)
    settings = Settings(prefetch=False) if login else USUAL
    home.person.there = True
    with forward(home, net, tmp_path, index, settings=settings) as rig:
        with raw.tunnel(rig, rig.open(), TARGET):
            until(lambda: is_at_rest(rig))
        assert not site.crane.requests
        assert TARGET not in net.targets
        assert home.person.logins == 0


def is_at_rest(rig: Rig) -> bool:
    readiness = rig.forwarding.views._machinery.tools.readiness
    return bool(rig.on_loop(lambda: not readiness._tasks))
