"""A Crane server says *not found* for *forbidden*: that never counts as missing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.harness import Home, asked_public, index_of

from crane_devserver import PathAccess, make_wheel, write_simple_pages

if TYPE_CHECKING:
    from support.world import World

    from crane_core.config.model import Index


def restrict(world: World, folder: str, *groups: str) -> None:
    """Let only members of these groups read a folder of the protected repository."""
    repository = world.crane.repositories["python"]
    rule = PathAccess(folder, read_groups=frozenset(groups))
    world.crane.repositories["python"] = replace(repository, paths=(*repository.paths, rule))


def test_a_user_without_any_right_is_refused_with_the_reason_and_never_falls_back(
    world: World, home: Home, index: Index
) -> None:
    world.add_private("secret-lib")
    world.add_public("secret-lib", "9.0")
    home.login(index, "eve")
    with home.serve(index) as gate:
        answer = gate.project("secret-lib")

    assert answer.status_code == 403
    assert "may mean 'no access'" in answer.reason_phrase
    assert "crane index set python --no-root-required" in answer.reason_phrase
    assert asked_public(world) == []


def test_an_unknown_repository_looks_like_no_access_and_never_falls_back(
    world: World, home: Home
) -> None:
    world.add_public("secret-lib", "9.0")
    index = index_of(world, url=f"{world.crane_url}/misspelt")
    home.login(index)
    with home.serve(index) as gate:
        assert gate.project("secret-lib").status_code == 403
    assert asked_public(world) == []


def test_no_root_required_trusts_a_404_without_a_root_page(world: World, home: Home) -> None:
    world.add_public("public-lib", "9.0")
    index = index_of(world, root_required=False)
    home.login(index, "eve")
    with home.serve(index) as gate:
        assert gate.names("public-lib") == ["public_lib-9.0-py3-none-any.whl"]


def test_a_folder_for_another_group_that_is_hidden_in_the_listing_looks_missing(
    world: World, home: Home, index: Index
) -> None:
    """What a Crane server hides completely, only `private` patterns or provenance protect."""
    world.add_private("data-lib")
    restrict(world, "data-lib", "data-science")
    world.add_public("data-lib", "9.0")
    home.login(index, "bob")
    with home.serve(replace(index, private=("data-*",))) as gate:
        assert gate.project("data-lib").status_code == 403
    assert asked_public(world) == []


def test_a_folder_for_another_group_that_is_listed_is_refused_and_never_falls_back(
    world: World, home: Home, index: Index
) -> None:
    world.add_private("data-lib")
    restrict(world, "data-lib", "data-science")
    world.add_public("data-lib", "9.0")
    (world.private / "index.html").write_text('<a href="data-lib/">data-lib</a>')
    home.login(index, "bob")
    with home.serve(index) as gate:
        answer = gate.project("data-lib")

    assert answer.status_code == 403
    assert "lists data-lib but answers 'not found'" in answer.reason_phrase
    assert asked_public(world) == []


def test_a_folder_for_ones_own_group_is_served(world: World, home: Home, index: Index) -> None:
    world.add_private("data-lib")
    restrict(world, "data-lib", "data-science")
    home.login(index, "ada")
    with home.serve(index) as gate:
        assert gate.names("data-lib") == ["data_lib-1.0-py3-none-any.whl"]


def test_a_folder_with_a_name_that_is_not_normalised_is_found_and_wins(
    world: World, home: Home, index: Index
) -> None:
    make_wheel(world.private / "My_Lib", "My_Lib", "1.0")
    world.add_public("my-lib", "9.0")
    home.login(index)
    with home.serve(index) as gate:
        (file,) = gate.files("my-lib")
        fetched = gate.get(file["url"])

    assert file["filename"] == "my_lib-1.0-py3-none-any.whl"
    assert fetched.content == (world.private / "My_Lib" / file["filename"]).read_bytes()
    assert asked_public(world) == []


def test_pages_below_simple_are_found_where_the_url_does_not_say_so(
    world: World, home: Home, index: Index
) -> None:
    world.add_private("secret-lib")
    write_simple_pages(world.private)
    world.add_public("secret-lib", "9.0")
    home.login(index)
    with home.serve(index) as gate:
        (file,) = gate.files("secret-lib")
        fetched = gate.get(file["url"])

    assert file["hashes"].get("sha256")
    assert file["core-metadata"]
    assert fetched.status_code == 200
    assert world.asked("/python/simple/secret-lib/") == [200]
    assert asked_public(world) == []


def test_an_index_that_is_registered_with_simple_may_have_its_files_beside_it(
    world: World, home: Home
) -> None:
    world.add_private("secret-lib")
    write_simple_pages(world.private)
    index = index_of(world, url=f"{world.index_url}/simple")
    home.login(index)
    with home.serve(index) as gate:
        (file,) = gate.files("secret-lib")
        assert gate.get(file["url"]).status_code == 200


def test_a_project_that_is_called_simple_hides_no_other_private_name(
    world: World, home: Home, index: Index
) -> None:
    """`simple` is a package on PyPI: its folder must not be taken for a root of pages."""
    world.add_private("simple")
    world.add_private("secret-lib")
    world.add_public("secret-lib", "9.0")
    home.login(index)
    with home.serve(index) as gate:
        names = gate.names("secret-lib")

    assert asked_public(world) == []
    assert names == ["secret_lib-1.0-py3-none-any.whl"]


def test_the_root_page_lists_the_readable_projects_only(
    world: World, home: Home, index: Index
) -> None:
    world.add_private("data-lib")
    make_wheel(world.private / "My_Lib", "My_Lib", "1.0")
    restrict(world, "data-lib", "data-science")
    home.login(index, "bob")
    with home.serve(index) as gate:
        accept = "application/vnd.pypi.simple.v1+json"
        listed = gate.get("/python/simple/", accept=accept).json()["projects"]

    assert [project["name"] for project in listed] == ["My_Lib"]


def test_a_root_page_that_is_cached_is_read_again_after_five_minutes(
    world: World, home: Home, index: Index
) -> None:
    home.login(index)
    with home.serve(index) as gate:
        assert gate.project("late-lib").status_code == 404
        make_wheel(world.private / "Late_Lib", "Late_Lib", "1.0")
        # Less than the access token's five minutes would be too little for the root page.
        home.clock.ahead = 301
        assert gate.names("late-lib") == ["late_lib-1.0-py3-none-any.whl"]
