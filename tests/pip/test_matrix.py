"""Every supported pip: what installs, and what a person reads when it does not."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from support.pips import (
    EVERY_PIP,
    INDEX_ROUTE,
    MATRIX,
    NEWEST,
    OLDEST_AND_NEWEST,
    RUNNING,
    MakeEnvironment,
    Pip,
    index_of,
    installed,
    log_in,
    make_built_sdist,
    register,
    shown,
)
from support.world import User, World

from crane_core.config.model import Index
from crane_core.index.provenance import SqliteProvenance
from crane_devserver.faults import Fault

LOGIN_PAGE = '<html><form><input type="password" name="p"></form></html>'
HTML = (("content-type", "text/html"),)


@pytest.mark.parametrize(
    ("pip", "route"),
    [*((pip, ()) for pip in MATRIX), *((pip, INDEX_ROUTE) for pip in OLDEST_AND_NEWEST)],
    ids=shown,
)
def test_wheels_and_private_build_requirements_install(
    pip: Pip,
    route: tuple[str, ...],
    world: World,
    ready: User,
    make_environment: MakeEnvironment,
) -> None:
    folder = make_environment(pip)
    world.add_private("secret-lib", requires=["public-lib"])
    world.add_private("secret-backend", files={"secret_backend.py": ""})
    world.add_public("secret-lib", "9.0")
    world.add_public("secret-backend", "9.0")
    world.add_public("public-lib", "2.0")
    make_built_sdist(
        world.private / "secret-source",
        "secret-source",
        build_requires=["secret-backend"],
        prologue="import secret_backend",
    )

    done = ready.crane(
        "pip", *route, "--python", str(folder), "install", "secret-lib", "secret-source"
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(folder) == {"secret_lib-1.0", "public_lib-2.0", "secret_source-1.0"}
    assert not any("secret" in r.path for r in world.public_server.requests)
    assert all(r.authorized_user == "ada" for r in world.crane.requests if "secret" in r.path)


def an_index_that_is_down(world: World, user: User, index: Index) -> str:
    world.add_private("secret-lib")
    world.crane.faults.append(Fault("/python/secret-lib/", status=503))
    return "answered HTTP 503"


def a_user_without_the_right(world: World, user: User, index: Index) -> str:
    world.add_private("secret-lib")
    log_in(user, world.realm, index, account="eve")
    return "may mean 'no access'"


def a_name_that_is_private(world: World, user: User, index: Index) -> str:
    register(user, index_of(world, private=("secret-*",)))
    return "its name is private"


def a_login_page(world: World, user: User, index: Index) -> str:
    world.add_private("secret-lib")
    world.crane.faults.append(
        Fault("/python/secret-lib/", status=200, headers=HTML, body=LOGIN_PAGE)
    )
    return "login page"


def a_redirect_to_a_login(world: World, user: User, index: Index) -> str:
    world.add_private("secret-lib")
    location = (("location", "/oauth2/authorization/crane"),)
    world.crane.faults.append(Fault("/python/secret-lib/", status=302, headers=location))
    return "refused the login (it redirects to"


def a_project_that_vanished(world: World, user: User, index: Index) -> str:
    memory = SqliteProvenance(user.sessions.parent / "provenance.sqlite3")
    memory.record_project(index.url, "secret-lib").result()
    memory.close()
    return "served secret-lib before"


FAILURES = [
    an_index_that_is_down,
    a_user_without_the_right,
    a_name_that_is_private,
    a_login_page,
    a_redirect_to_a_login,
    a_project_that_vanished,
]


# The gateway fails every page in one way; each pip need not see each reason.
PIPS_AND_FAILURES = [
    *itertools.product(OLDEST_AND_NEWEST, FAILURES),
    *((pip, an_index_that_is_down) for pip in EVERY_PIP if pip not in OLDEST_AND_NEWEST),
]


@pytest.mark.parametrize(("pip", "failure"), PIPS_AND_FAILURES, ids=shown)
def test_pip_shows_the_reason_and_takes_the_name_from_no_extra_index(
    pip: Pip,
    failure: Callable[[World, User, Index], str],
    world: World,
    ready: User,
    index: Index,
    make_environment: MakeEnvironment,
) -> None:
    folder = make_environment(pip)
    world.add_public("secret-lib", "9.0")
    reason = failure(world, ready, index)

    done = ready.crane(
        "pip", "--python", str(folder), "install", "secret-lib",
        "--extra-index-url", world.public_url,
    )  # fmt: skip

    assert done.returncode == 1, done.stdout + done.stderr
    assert not installed(folder)
    assert not any("secret" in r.path for r in world.public_server.requests)
    assert reason in done.stdout + done.stderr


@pytest.mark.parametrize("pip", OLDEST_AND_NEWEST, ids=str)
def test_on_the_index_route_crane_repeats_the_reason_behind_pips(
    pip: Pip, world: World, ready: User, index: Index, make_environment: MakeEnvironment
) -> None:
    folder = make_environment(pip)
    world.add_public("secret-lib", "9.0")
    reason = an_index_that_is_down(world, ready, index)

    done = ready.crane("pip", *INDEX_ROUTE, "--python", str(folder), "install", "secret-lib")

    assert done.returncode == 1, done.stdout + done.stderr
    assert not any("secret" in r.path for r in world.public_server.requests)
    # pip itself says why it stopped, and so do we.
    own = [line for line in done.stderr.splitlines() if line.startswith("crane: ")]
    from_pip = done.stdout + "\n".join(line for line in done.stderr.splitlines() if line not in own)
    assert reason in from_pip
    assert any(reason in line for line in own)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_private_page_does_not_send_the_name_to_the_fallback(
    failure: Callable[[World, User, Index], str],
    world: World,
    ready: User,
    index: Index,
    make_environment: MakeEnvironment,
) -> None:
    folder = make_environment(Pip(RUNNING, NEWEST))
    world.add_public("secret-lib", "9.0")
    reason = failure(world, ready, index)

    done = ready.crane("pip", "--python", str(folder), "install", "secret-lib")

    assert done.returncode == 1
    assert reason in done.stdout + done.stderr
    assert not installed(folder)
    assert not any("secret" in r.path for r in world.public_server.requests)


@pytest.mark.parametrize("pip", OLDEST_AND_NEWEST, ids=str)
def test_one_broken_dependency_stops_the_whole_install(
    pip: Pip, world: World, ready: User, make_environment: MakeEnvironment
) -> None:
    folder = make_environment(pip)
    world.add_private("secret-lib", requires=["secret-part"])
    world.add_private("secret-part")
    world.add_public("secret-part", "9.0")
    world.crane.faults.append(Fault("/python/secret-part/", status=500))

    done = ready.crane("pip", "--python", str(folder), "install", "secret-lib")

    assert done.returncode == 1
    assert "answered HTTP 500" in done.stdout + done.stderr
    assert not installed(folder)
