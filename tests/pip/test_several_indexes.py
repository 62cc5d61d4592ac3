"""Which of several indexes is the one, and that each registered one keeps its names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.pips import MakeEnvironment, index_of, installed, log_in, register
from support.world import User, World, make_world

from crane_core.clients.pip import choose_indexes
from crane_core.config.model import Configuration, Index
from crane_core.errors import NotRegistered

URL = "https://crane.example.com/python"
SECOND = "https://second.example.com/python"
OTHER = "https://other.example.com/simple"
THIRD = "https://third.example.com/simple"
FIRST = Index("first", URL, issuer="https://login.example.com")


def configuration(*indexes: Index) -> Configuration:
    return Configuration({index.name: index for index in indexes})


ONE = configuration(FIRST)
TWO = configuration(FIRST, replace(FIRST, name="second", url=SECOND))


def test_an_index_that_is_named_keeps_its_fallback_and_has_the_others_beside_it() -> None:
    found = choose_indexes(ONE, f"{URL}/simple/", [OTHER, THIRD], None)

    assert found.index == FIRST
    assert found.beside == (OTHER, THIRD)


def test_a_registered_extra_index_becomes_the_one_and_what_was_named_stands_in_for_its_fallback():
    found = choose_indexes(ONE, OTHER, [THIRD, URL], None)

    assert found.index == replace(FIRST, fallback="none")
    assert set(found.beside) == {OTHER, THIRD}


def test_a_registered_extra_index_alone_keeps_its_fallback() -> None:
    found = choose_indexes(ONE, None, [OTHER, URL], None)

    assert found.index == FIRST
    assert found.beside == (OTHER,)


def test_unregistered_extra_indexes_stand_beside_the_only_one() -> None:
    found = choose_indexes(ONE, None, [OTHER], None)

    assert (found.index, found.beside) == (FIRST, (OTHER,))


def test_an_index_of_pips_files_is_not_lost_for_a_registered_extra_one() -> None:
    """Or its names would be looked for elsewhere."""
    found = choose_indexes(TWO, None, [SECOND], URL)

    assert found.index.name == "first"
    assert found.beside == (SECOND,)


def test_where_nothing_that_is_named_is_registered_it_is_an_error() -> None:
    named = OTHER.replace("://", "://me:hunter2@")

    with pytest.raises(NotRegistered) as caught:
        choose_indexes(ONE, named, [THIRD], URL)

    assert f"crane index register {OTHER}" in caught.value.line
    assert "hunter2" not in caught.value.line


@pytest.mark.parametrize("extra", ["file:///srv/simple", "/srv/simple", "not a url"])
def test_what_is_no_http_url_is_no_registered_index(extra: str) -> None:
    assert choose_indexes(ONE, URL, [extra], None).beside == (extra,)


@pytest.fixture
def second(world: World, ready: User, tmp_path: Path) -> Iterator[World]:
    """Register a second index; the public one has a higher version of its private name."""
    with make_world(tmp_path / "second", world.realm) as second:
        index = index_of(second, name="second", fallback="none")
        register(ready, index)
        log_in(ready, world.realm, index)
        second.add_private("secret-second", "1.0")
        world.add_private("secret-lib", "1.0")
        world.add_public("secret-second", "9.0")
        yield second


@pytest.mark.parametrize("fallback", ["none", "public"])
def test_the_names_of_a_second_registered_index_are_private_too(
    fallback: str, second: World, world: World, ready: User, active: Path
) -> None:
    url = world.public_url if fallback == "public" else fallback
    register(ready, index_of(world, fallback=url))
    options = ["-i", world.index_url, "--extra-index-url", second.index_url]
    if fallback == "none":
        options += ["--extra-index-url", world.public_url]

    done = ready.crane("pip", "install", *options, "secret-second", "secret-lib")

    assert not any("secret" in r.path for r in world.public_server.requests)
    assert installed(active) == {"secret_second-1.0", "secret_lib-1.0"}, done.stderr


def test_the_first_registered_index_owns_what_both_have(
    second: World, world: World, ready: User, active: Path
) -> None:
    second.add_private("secret-lib", "9.0")

    done = ready.crane(
        "pip", "install", "secret-lib",
        "-i", world.index_url, "--extra-index-url", second.index_url,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(active) == {"secret_lib-1.0"}


def test_an_index_that_is_named_like_a_place_in_the_gateway_is_served(
    world: World, user: User, make_environment: MakeEnvironment
) -> None:
    index = index_of(world, name="beside-1", fallback="none")
    register(user, index)
    log_in(user, world.realm, index)
    user.variables["VIRTUAL_ENV"] = str(make_environment())
    world.add_private("secret-lib", "1.0")
    world.add_public("secret-lib", "9.0")

    done = user.crane("pip", "install", "secret-lib", "--extra-index-url", world.public_url)

    assert not any("secret" in r.path for r in world.public_server.requests)
    assert done.returncode == 0, done.stdout + done.stderr
