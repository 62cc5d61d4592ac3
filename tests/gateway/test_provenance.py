"""A name that the private index has served never comes from elsewhere, until it is released."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest
from gateway.harness import Gate, Home, asked_public, index_of
from gateway.serving import new_operator

from crane_devserver import Fault, Repository, write_simple_pages

if TYPE_CHECKING:
    from pathlib import Path

    from support.world import World

    from crane_core.config.model import Index


def gone_after_being_served(world: World, gate: Gate) -> None:
    """Serve a project once, then take it away from the private index."""
    world.add_private("moved-lib")
    world.add_public("moved-lib", "9.0")
    assert gate.names("moved-lib") == ["moved_lib-1.0-py3-none-any.whl"]
    shutil.rmtree(world.private / "moved-lib")


def test_a_project_that_was_served_once_and_is_gone_is_blocked_with_the_command_that_releases_it(
    world: World, gate: Gate
) -> None:
    gone_after_being_served(world, gate)

    answer = gate.project("moved-lib")

    assert answer.status_code == 403
    assert "crane index release python moved-lib" in answer.reason_phrase
    assert asked_public(world) == []
    assert gate.events[-1].problem.startswith("python served moved-lib before")


def test_it_stays_blocked_for_the_next_gateway(
    world: World, home: Home, index: Index, gate: Gate
) -> None:
    gone_after_being_served(world, gate)
    with home.serve(index) as later:
        assert later.project("moved-lib").status_code == 403
    assert asked_public(world) == []


def test_a_released_project_comes_from_the_fallback_at_once(
    world: World, home: Home, index: Index, gate: Gate
) -> None:
    gone_after_being_served(world, gate)
    assert gate.project("moved-lib").status_code == 403

    assert home.release(index, "moved-lib")

    assert gate.names("moved-lib") == ["moved_lib-9.0-py3-none-any.whl"]


def test_a_project_that_is_served_again_after_its_release_is_remembered_again(
    world: World, home: Home, index: Index, gate: Gate
) -> None:
    """The running gateway must not go by what it has remembered before."""
    world.add_private("back-lib")
    world.add_public("back-lib", "9.0")
    assert gate.names("back-lib") == ["back_lib-1.0-py3-none-any.whl"]
    assert home.release(index, "back-lib")
    assert gate.names("back-lib") == ["back_lib-1.0-py3-none-any.whl"]
    shutil.rmtree(world.private / "back-lib")
    with home.serve(index) as later:
        assert later.project("back-lib").status_code == 403
    assert asked_public(world) == []


def test_a_release_of_one_project_frees_no_other(
    world: World, home: Home, index: Index, gate: Gate
) -> None:
    gone_after_being_served(world, gate)
    assert not home.release(index, "other-lib")
    assert gate.project("moved-lib").status_code == 403


def test_what_one_index_served_says_nothing_about_another(
    world: World, home: Home, index: Index, gate: Gate, tmp_path: Path
) -> None:
    gone_after_being_served(world, gate)
    world.crane.repositories["other"] = Repository(
        "other", tmp_path, read_groups=frozenset({"everyone"})
    )
    other = index_of(world, name="other", url=f"{world.crane_url}/other")
    home.login(other)
    with home.serve(other) as gate_of_other:
        assert gate_of_other.names("moved-lib", "other") == ["moved_lib-9.0-py3-none-any.whl"]


def test_a_public_project_leaves_no_mark(world: World, home: Home, index: Index) -> None:
    world.add_public("public-lib")
    home.login(index)
    with home.serve(index) as gate:
        gate.files("public-lib")
    assert not home.release(index, "public-lib")


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_failure_leaves_no_mark(world: World, home: Home, index: Index, status: int) -> None:
    home.login(index)
    world.crane.faults.append(Fault("/python/some-lib/", status=status))
    with home.serve(index) as gate:
        gate.project("some-lib")
    assert not home.release(index, "some-lib")


def test_a_gateway_that_cannot_remember_answers_with_an_error_and_does_not_fall_back(
    world: World, home: Home, index: Index, gate: Gate
) -> None:
    world.add_public("public-lib")
    world.add_private("secret-lib")
    with contextlib.closing(sqlite3.connect(home.paths.provenance)) as damage:
        damage.executescript("DROP TABLE projects; DROP TABLE files;")
    answer = gate.project("secret-lib")
    fallback = gate.project("public-lib")
    assert answer.status_code == 500
    assert answer.reason_phrase.startswith("crane: cannot use")
    assert fallback.status_code == 500
    assert asked_public(world) == []


@pytest.mark.parametrize("suffix", ["", "/simple"])
def test_the_release_command_itself_releases(world: World, tmp_path: Path, suffix: str) -> None:
    """The real command, on the files of the gateway's user."""
    operator = new_operator(tmp_path / "someone", world.realm)
    index = index_of(world, url=f"{world.index_url}{suffix}")
    operator.register(index)
    operator.home.login(index)
    with operator.home.serve(index) as gate:
        world.add_private("moved-lib")
        world.add_private("other-lib")
        world.add_public("moved-lib", "9.0")
        write_simple_pages(world.private)
        assert gate.names("moved-lib") == ["moved_lib-1.0-py3-none-any.whl"]
        shutil.rmtree(world.private / "moved-lib")
        shutil.rmtree(world.private / "simple")
        write_simple_pages(world.private)
        operator.home.clock.ahead = 60  # the list of projects was read a moment ago
        assert gate.project("moved-lib").status_code == 403

        done = operator.user.crane("index", "release", "python", "Moved_Lib", check=True)

        assert "moved-lib is released from python" in done.stdout
        assert gate.names("moved-lib") == ["moved_lib-9.0-py3-none-any.whl"]
