"""The clock is set, forward and back, while a gateway runs: nothing old, and no lost login."""

from __future__ import annotations

from pathlib import Path

import pytest
from auth.stored import assert_none_used_twice, refreshes
from gateway.harness import Home, index_of
from idp.oidc import Realm
from support.world import make_world

from crane_devserver.behaviour import STATIC_INDEX

HOUR, YEAR = 3_600.0, 365 * 86_400.0


@pytest.mark.parametrize("jump", [HOUR, -HOUR, YEAR, -YEAR], ids=["+1h", "-1h", "+1y", "-1y"])
def test_a_clock_that_is_set_and_set_right_again(
    realm: Realm, home: Home, tmp_path: Path, jump: float
) -> None:
    """A page that was fresh is asked for again, tokens are renewed once, and all goes on."""
    with make_world(tmp_path / "world", realm, behaviour=STATIC_INDEX) as world:
        index = index_of(world)
        home.login(index)
        wheel = world.add_private("own-lib", size=300_000)
        path = f"/python/files/python/own-lib/{wheel.name}"
        with home.serve(index) as gate:
            assert gate.names("own-lib") == [wheel.name]
            assert gate.get(path).content == wheel.read_bytes()
            for ahead in (jump, 0.0, jump / 2, 0.0):
                home.clock.ahead = ahead
                before = len(world.asked("/python/own-lib"))
                newer = world.add_private("own-lib", version=f"{before}.0")
                assert newer.name in gate.names("own-lib"), "a page of another time was shown"
                assert gate.get(path).content == wheel.read_bytes()
                assert set(world.asked("/python/own-lib")) <= {200, 304, 206}
            assert not [event.problem for event in gate.events if event.problem]
    assert len(refreshes(realm)) <= 3
    assert {request.status for request in refreshes(realm)} <= {200}
    assert_none_used_twice(realm)
    session = home.session(index)
    assert session is not None
    assert session.tokens.refresh_token is not None
