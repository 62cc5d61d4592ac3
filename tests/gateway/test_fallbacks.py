"""Fallbacks that are registered indexes themselves, with a login and an order of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gateway.harness import Home, asked_public, index_of

from crane_devserver import Fault, Repository, make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from support.world import World


@pytest.fixture
def shared_folder(world: World, tmp_path: Path) -> Path:
    """Give the folder of a second protected repository on the same server."""
    folder = tmp_path / "shared"
    folder.mkdir()
    world.crane.repositories["shared"] = Repository(
        "shared", folder, read_groups=frozenset({"everyone"})
    )
    return folder


def test_a_registered_fallback_is_asked_with_the_login_and_before_its_own_fallback(
    world: World, home: Home, shared_folder: Path
) -> None:
    make_wheel(shared_folder / "team-lib", "team-lib", "1.0")
    world.add_public("team-lib", "9.0")
    world.add_public("public-lib", "2.0")
    shared = index_of(world, name="shared", url=f"{world.crane_url}/shared")
    top = index_of(world, fallback=shared.url)
    home.login(top)
    with home.serve(top, registered=(shared,)) as gate:
        (file,) = gate.files("team-lib")
        fetched = gate.get(file["url"])
        public = gate.names("public-lib")

    assert file["url"].startswith(f"{gate.url}/shared/files/shared/team-lib/")
    assert fetched.status_code == 200
    assert public == ["public_lib-2.0-py3-none-any.whl"]
    assert asked_public(world) == ["/simple/public-lib/"]
    assert {r.authorized_user for r in world.crane.requests} == {"ada"}


def test_a_registered_fallback_that_fails_ends_the_search(
    world: World, home: Home, shared_folder: Path
) -> None:
    world.add_public("team-lib", "9.0")
    shared = index_of(world, name="shared", url=f"{world.crane_url}/shared")
    top = index_of(world, fallback=shared.url)
    home.login(top)
    world.crane.faults.append(Fault("/shared/", status=503))
    with home.serve(top, registered=(shared,)) as gate:
        assert gate.project("team-lib").status_code == 504
    assert asked_public(world) == []


def test_a_registered_fallback_is_known_under_any_spelling_of_its_url(
    world: World, home: Home, shared_folder: Path
) -> None:
    make_wheel(shared_folder / "team-lib", "team-lib", "1.0")
    shared = index_of(world, name="shared", url=f"{world.crane_url}/shared")
    top = index_of(world, fallback=f"{shared.url.replace('http', 'HTTP', 1)}/simple/")
    home.login(top)
    with home.serve(top, registered=(shared,)) as gate:
        assert gate.names("team-lib") == ["team_lib-1.0-py3-none-any.whl"]


def test_two_indexes_that_fall_back_to_each_other_end_with_not_found(
    world: World, home: Home, shared_folder: Path
) -> None:
    make_wheel(shared_folder / "team-lib", "team-lib", "1.0")
    world.add_private("secret-lib")
    shared = index_of(
        world, name="shared", url=f"{world.crane_url}/shared", fallback=world.index_url
    )
    top = index_of(world, fallback=shared.url)
    home.login(top)
    with home.serve(top, shared) as gate:
        assert gate.project("nowhere-lib").status_code == 404
        assert gate.project("nowhere-lib", "shared").status_code == 404
        assert gate.names("team-lib") == ["team_lib-1.0-py3-none-any.whl"]
        assert gate.names("secret-lib", "shared") == ["secret_lib-1.0-py3-none-any.whl"]
    assert asked_public(world) == []


def test_a_private_pattern_of_the_first_index_keeps_the_name_from_every_fallback(
    world: World, home: Home, shared_folder: Path
) -> None:
    make_wheel(shared_folder / "acme-lib", "acme-lib", "1.0")
    shared = index_of(world, name="shared", url=f"{world.crane_url}/shared")
    top = index_of(world, fallback=shared.url, private=("acme-*",))
    home.login(top)
    with home.serve(top, registered=(shared,)) as gate:
        assert gate.project("acme-lib").status_code == 403
    assert world.asked("/shared/") == []


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_a_public_fallback_that_fails_is_an_error_and_its_404_is_a_404(
    world: World, home: Home, status: int
) -> None:
    index = index_of(world)
    home.login(index)
    world.public_server.faults.append(Fault("/simple/any-lib/", status=status))
    with home.serve(index) as gate:
        answer = gate.project("any-lib")

    expected = {401: 403, 403: 403, 404: 404, 429: 504, 500: 504, 503: 504}
    assert answer.status_code == expected[status]
    assert answer.reason_phrase.startswith("crane: ")
