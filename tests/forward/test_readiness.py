"""A tool that comes to an index's host finds begun what it is going to need."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from forward import raw
from forward.net import Net
from forward.rig import PRIVATE_HOST, Rig, Site, forward
from gateway.harness import USUAL, Home
from run.kit import until

from crane_core.auth.model import session_key
from crane_core.gateway.readiness import CONNECTIONS
from crane_core.gateway.settings import Settings
from crane_devserver.faults import Fault

TARGET = f"{PRIVATE_HOST}:443"
VERSIONS = [f"{n}.0" for n in range(CONNECTIONS)]


def test_before_it_has_greeted_us(rig: Rig, site: Site, net: Net) -> None:
    """Where pages are, once in the agent's life; connections for files, once in a minute."""
    for version in VERSIONS:
        site.add_private("lib", version)
    for _ in range(2):
        with raw.tunnel(rig, rig.open(), TARGET):
            until(lambda: [r.path for r in site.crane.requests] == ["/python/simple/"])
            until(lambda: net.targets.count(TARGET) == 1 + CONNECTIONS)
            until(lambda: is_at_rest(rig))
    assert site.crane.requests[0].header("authorization")

    view = rig.open()
    assert raw.get(rig, view, f"https://{TARGET}/python/simple/lib/").status == 200
    opened = net.targets.count(TARGET)
    context = rig.context(view)

    def fetch(version: str) -> raw.Raw:
        path = f"/python/lib/lib-{version}-py3-none-any.whl"
        with raw.secure(rig, view, TARGET, context=context) as tls:
            head = f"GET {path} HTTP/1.1\r\nhost: {PRIVATE_HOST}\r\nconnection: close\r\n\r\n"
            return raw.ask(tls, head)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = list(pool.map(fetch, VERSIONS))
    assert [answer.status for answer in answers] == [200] * CONNECTIONS
    assert [r.path for r in site.crane.requests].count("/python/simple/") == 1
    assert net.targets.count(TARGET) == opened


@pytest.mark.parametrize("login", ["none", "refused", "good, but switched off"])
def test_nobody_is_asked_for_a_login_and_nothing_if_it_is_off(
    site: Site, home: Home, net: Net, tmp_path: Path, login: str
) -> None:
    index, settings = site.index(), USUAL
    if login != "none":
        session = home.login(index)
    if login == "refused":
        tokens = replace(session.tokens, refresh_token=None, refresh_expires_at=None)
        home.store().write(session_key(index), replace(session, tokens=tokens))
        site.crane.faults.append(Fault("/python/", status=401))
    elif login != "none":
        settings = Settings(prefetch=False)
    home.person.there = True
    with forward(home, net, tmp_path, index, settings=settings) as rig:
        with raw.tunnel(rig, rig.open(), TARGET):
            until(lambda: is_at_rest(rig))
        assert bool(site.crane.requests) == (TARGET in net.targets) == (login == "refused")
        assert home.person.logins == 0


def is_at_rest(rig: Rig) -> bool:
    readiness = rig.forwarding.views._machinery.tools.readiness
    return bool(rig.on_loop(lambda: not readiness._tasks))
