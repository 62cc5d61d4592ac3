"""A machine whose clock is wrong: what works all the same, and what is said where it does not."""

from __future__ import annotations

from gateway.harness import Gate, Home
from support.world import World

from crane_devserver.faults import Fault


def test_a_clock_one_hour_off_is_named_where_the_index_refuses_a_fresh_login(
    world: World, home: Home, gate: Gate
) -> None:
    gate.project("warm-up")
    home.clock.ahead = 3_600
    world.crane.faults.append(Fault("/python/", status=401))

    answer = gate.project("secret-lib")

    assert "60 minutes apart" in answer.reason_phrase
    assert "set the one that is wrong" in answer.text
    assert not [r for r in world.public_server.requests if "secret" in r.path]


def test_a_clock_one_hour_off_is_no_matter_where_the_index_does_not_mind(
    world: World, home: Home, gate: Gate
) -> None:
    world.add_private("secret-lib")
    home.clock.ahead = 3_600
    assert gate.project("secret-lib").status_code == 200
    home.clock.ahead = -3_600
    assert gate.project("secret-lib").status_code == 200
