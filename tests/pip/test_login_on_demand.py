"""A login where one is needed, and only there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from idp.oidc import Idp
from support.pips import MakeEnvironment, index_of, log_in, register
from support.world import User, World, make_world

from crane_core.config.model import Index
from crane_devserver.faults import Fault


@pytest.fixture
def stranger(world: World, user: User, index: Index, make_environment: MakeEnvironment) -> User:
    """Give a user who has registered the index and an active environment, but is not logged in."""
    register(user, index)
    world.add_private("secret-lib")
    user.variables["VIRTUAL_ENV"] = str(make_environment())
    return user


def test_the_browser_opens_once_and_the_install_goes_on(world: World, stranger: User) -> None:
    first = stranger.crane("pip", "install", "secret-lib")
    again = stranger.crane("pip", "install", "--force-reinstall", "secret-lib")

    assert first.returncode == 0, first.stderr
    assert "Successfully installed secret-lib-1.0" in first.stdout
    assert again.returncode == 0, again.stderr
    assert "log in" in first.stderr
    assert "log in" not in again.stderr
    assert len(world.realm.requests("token", grant="authorization_code")) == 1


def test_the_prompt_does_not_stand_in_pips_output(stranger: User) -> None:
    done = stranger.crane("pip", "install", "secret-lib")

    assert done.stdout.startswith("Looking in indexes")


@pytest.mark.parametrize("value", ["true", "1", "yes"])
def test_in_ci_nobody_is_asked(value: str, world: World, stranger: User) -> None:
    done = stranger.crane("pip", "install", "secret-lib", CI=value)

    assert done.returncode == 4
    assert "crane login python" in done.stderr
    assert "Traceback" not in done.stderr
    assert not world.realm.requests("authorization")
    assert not world.realm.requests("device_authorization")


@pytest.mark.parametrize("value", ["false", "0", ""])
def test_a_ci_variable_that_says_no_counts_as_none(
    value: str, world: World, stranger: User
) -> None:
    assert stranger.crane("pip", "install", "secret-lib", CI=value).returncode == 0


def test_without_a_terminal_and_a_browser_nobody_is_asked(world: World, stranger: User) -> None:
    done = stranger.crane("pip", "install", "secret-lib", BROWSER="")

    assert done.returncode == 4
    assert "crane login python" in done.stderr
    assert not world.realm.requests("device_authorization")


def test_a_login_that_is_denied_stops_before_pip_starts(world: World, stranger: User) -> None:
    done = stranger.crane("pip", "install", "secret-lib", TEST_DECISION="deny")

    assert done.returncode == 11
    assert "Looking in indexes" not in done.stdout
    assert not world.asked("/python/")


def test_an_existing_login_asks_the_provider_nothing(world: World, stranger: User) -> None:
    log_in(stranger, world.realm, index_of(world))
    world.realm.clear_requests()

    done = stranger.crane("pip", "install", "secret-lib", CI="true")

    assert done.returncode == 0, done.stderr
    assert {r.endpoint for r in world.realm.requests()} <= {"jwks"}


@pytest.fixture
def fast(idp: Idp, tmp_path: Path) -> Iterator[World]:
    """Give a world whose access tokens live for two seconds."""
    with make_world(tmp_path / "fast", idp["fast"]) as world:
        world.add_private("secret-lib")
        yield world


def test_an_expired_token_is_refreshed_without_a_word(
    fast: World, user: User, make_environment: MakeEnvironment
) -> None:
    index = index_of(fast)
    register(user, index)
    old = log_in(user, fast.realm, index, age=5)

    done = user.crane(
        "pip", "install", "secret-lib", CI="true", VIRTUAL_ENV=str(make_environment())
    )

    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert fast.realm.requests("token", grant="refresh_token")
    assert len(fast.realm.requests("device_authorization")) == 1
    used = {r.header("authorization") for r in fast.crane.requests if r.authorized_user}
    assert used
    assert f"Bearer {old}" not in used


def test_a_refused_token_is_replaced_in_mid_install(world: World, stranger: User) -> None:
    """The index says 401 to a token that looks fresh, as after a change of the server's keys."""
    old = log_in(stranger, world.realm, index_of(world))
    world.crane.faults.append(Fault("/python/secret-lib/secret_lib", status=401, times=1))

    done = stranger.crane("pip", "install", "secret-lib", CI="true")

    assert done.returncode == 0, done.stdout + done.stderr
    file = [r for r in world.crane.requests if r.path.endswith(".whl")]
    assert file[-1].header("authorization") != f"Bearer {old}"


def test_a_login_that_has_ended_says_so_in_ci(world: World, stranger: User) -> None:
    log_in(stranger, world.realm, index_of(world), age=4_000)
    world.realm.expire("refresh")

    done = stranger.crane("pip", "install", "secret-lib", CI="true")

    assert done.returncode == 4
    assert "crane login python" in done.stderr
