"""Metadata of wheels in the file cache, for an index that answers no range requests."""

from __future__ import annotations

import hashlib
import sqlite3
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from gateway.harness import Gate, Home
from gateway.tools import PIP, until
from support.world import World

from crane_core.cache.settings import CacheSettings
from crane_core.gateway.compose import Settings
from crane_devserver import PathAccess

if TYPE_CHECKING:
    from pathlib import Path

    from crane_core.config.model import Index

NO_CACHE = Settings(cache=CacheSettings(size=0))
AGAIN = 601.0  # seconds after which the index is asked whether its word still counts


@pytest.fixture
def wheel(world: World, home: Home, index: Index) -> Path:
    """Give a wheel that ada has fetched before, in another run of the gateway."""
    path = world.add_private("lib", requires=["other>=2"], size=300_000)
    home.login(index)
    with home.serve(index) as gate:
        fetch(world, gate, path)
    return path


def fetch(world: World, gate: Gate, path: Path) -> None:
    """Have a wheel fetched by a tool, and wait until it is in the cache."""

    def comes_from_there() -> bool:
        before = len(world.crane.requests)
        assert gate.get(url_of(gate, path)).content == path.read_bytes()
        return len(world.crane.requests) == before

    until(comes_from_there, "it is in the cache")
    world.crane.requests.clear()


def url_of(gate: Gate, path: Path) -> str:
    """Return a wheel's URL at the gateway."""
    return f"{gate.url}/python/files/python/{path.parent.name}/{path.name}"


def metadata_in(path: Path) -> bytes:
    """Return METADATA as an installer will find it."""
    with zipfile.ZipFile(path) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        return archive.read(name)


def add(world: World, version: str = "1.0") -> Path:
    """Upload a wheel that is longer than what is asked for of a wheel's end."""
    return world.add_private("lib", version, size=50_000)


def asked(world: World, path: Path) -> list[str]:
    """Return how the index was asked for a wheel, but for the question whether it does ranges."""
    return [
        r.method
        for r in world.crane.requests
        if r.path.endswith(path.name) and not (r.header("range") or "").startswith("bytes=-")
    ]


def offered(gate: Gate, project: str = "lib") -> dict[str, bool]:
    """Return which wheels of a project have metadata, by version."""
    files = gate.files(project)
    return {file["filename"].split("-")[1]: bool(file.get("core-metadata")) for file in files}


def test_a_wheel_of_an_earlier_run_has_metadata_and_the_index_is_asked_for_nothing(
    world: World, home: Home, index: Index, wheel: Path
) -> None:
    add(world, "2.0")
    with home.serve(index) as gate:
        assert offered(gate) == {"1.0": True, "2.0": False}
        answer = gate.get(url_of(gate, wheel) + ".metadata")
    assert answer.status_code == 200
    assert answer.content == metadata_in(wheel)
    assert asked(world, wheel) == []


def test_after_a_while_the_index_is_asked_whether_the_login_may_still_have_it(
    world: World, home: Home, index: Index, wheel: Path
) -> None:
    home.clock.ahead = AGAIN
    with home.serve(index) as gate:
        assert offered(gate) == {"1.0": True}
        for _ in range(3):
            answer = gate.get(url_of(gate, wheel) + ".metadata")
            assert answer.content == metadata_in(wheel)
        assert asked(world, wheel) == ["HEAD"]
        home.clock.ahead = 2 * AGAIN
        assert gate.get(url_of(gate, wheel) + ".metadata").status_code == 200
    assert asked(world, wheel) == ["HEAD", "HEAD"]


def test_a_wheel_that_a_tool_fetches_now_is_offered_to_the_next_one(
    world: World, home: Home, gate: Gate
) -> None:
    path = add(world)
    other = world.add_private("other-lib", size=50_000)
    assert offered(gate) == {"1.0": False}
    fetch(world, gate, path)
    until(lambda: offered(gate) == {"1.0": True}, "it is offered")
    assert offered(gate, "other-lib") == {"1.0": False}
    assert gate.get(url_of(gate, path) + ".metadata").content == metadata_in(path)
    assert asked(world, other) == []


def test_a_page_with_hashes_is_written_anew_for_it(world: World, home: Home, gate: Gate) -> None:
    """Such a page is kept as it was written, until something has changed."""
    path = add(world)
    write_page(path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert offered(gate) == offered(gate) == {"1.0": False}
    fetch(world, gate, path)
    until(lambda: offered(gate) == {"1.0": True}, "it is offered")


def test_not_if_the_page_says_that_it_is_another_file(world: World, home: Home, gate: Gate) -> None:
    path = add(world)
    write_page(path, "0" * 64)
    fetch(world, gate, path)
    assert offered(gate) == {"1.0": False}


def test_a_wheel_that_nobody_has_fetched_is_not_fetched_for_its_metadata(
    world: World, gate: Gate
) -> None:
    path = add(world)
    assert offered(gate) == {"1.0": False}
    assert gate.get(url_of(gate, path) + ".metadata").status_code == 404
    assert asked(world, path) == []


def test_a_short_wheel_that_came_whole_does_not_say_that_the_index_does_ranges(
    world: World, home: Home, index: Index
) -> None:
    """Not in the next run either, which finds what was read of it."""
    world.add_private("lib", "2.0")
    home.login(index)
    for _ in range(2):
        with home.serve(index) as gate:
            offered(gate)
            add(world)
            assert not offered(gate)["1.0"]


def test_after_a_logout_nobody_gets_it(world: World, home: Home, index: Index, wheel: Path) -> None:
    with home.serve(index) as gate:
        assert offered(gate) == {"1.0": True}
        home.store().delete(next(iter(home.store().accounts(index))))
        answer = gate.get(url_of(gate, wheel) + ".metadata")
    assert answer.status_code == 403
    assert "crane login" in answer.reason_phrase
    assert asked(world, wheel) == []


@pytest.mark.parametrize("ahead", [0.0, AGAIN])
def test_another_account_gets_what_the_index_lets_it_have(
    world: World, home: Home, index: Index, wheel: Path, ahead: float
) -> None:
    """The bytes are there, and whether they may be given is asked for this login, whenever."""
    home.clock.ahead = ahead
    with home.serve(index) as gate:
        assert offered(gate) == {"1.0": True}
        home.login(index, "bob")
        assert gate.get(url_of(gate, wheel) + ".metadata").content == metadata_in(wheel)
        assert asked(world, wheel) == ["HEAD"]
        restrict(world, "lib")
        home.login(index, "eve")
        answer = gate.get(url_of(gate, wheel) + ".metadata")
    assert answer.status_code in {403, 404}
    assert b"Metadata-Version" not in answer.content


def test_who_may_not_have_the_wheel_any_more_does_not_get_its_metadata(
    world: World, home: Home, index: Index, wheel: Path
) -> None:
    with home.serve(index) as gate:
        assert offered(gate) == {"1.0": True}
        assert gate.get(url_of(gate, wheel) + ".metadata").status_code == 200
        restrict(world, "lib")
        home.clock.ahead = AGAIN
        answer = gate.get(url_of(gate, wheel) + ".metadata")
        assert answer.status_code in {403, 404}
        assert b"Metadata-Version" not in answer.content


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_what_was_offered_is_fetched_again_where_the_cache_has_lost_it(
    world: World, home: Home, index: Index, wheel: Path, damage: str
) -> None:
    """pip stops where an offered file cannot be had."""
    with home.serve(index) as gate:
        assert offered(gate) == {"1.0": True}
        (file,) = home.paths.cache.glob("files/??/*")
        if damage == "gone":
            file.unlink()
        else:
            file.write_bytes(b"PK" + wheel.read_bytes()[2:-1] + b"!")
        answer = gate.get(url_of(gate, wheel) + ".metadata")
        assert answer.content == metadata_in(wheel)
        assert asked(world, wheel) == ["GET"], "once"
        # The install takes it from where it is now.
        assert gate.get(url_of(gate, wheel)).content == wheel.read_bytes()
    assert asked(world, wheel) == ["GET"]
    assert file.read_bytes() == wheel.read_bytes()


def test_what_cannot_be_fetched_again_is_an_error(
    world: World, home: Home, index: Index, wheel: Path
) -> None:
    with home.serve(index) as gate:
        assert offered(gate) == {"1.0": True}
        (file,) = home.paths.cache.glob("files/??/*")
        file.unlink()
        restrict(world, "lib")
        assert gate.get(url_of(gate, wheel) + ".metadata").status_code in {403, 404}


def test_a_cached_file_that_is_no_wheel_is_offered_once_at_most(
    world: World, home: Home, gate: Gate
) -> None:
    path = add(world)
    path.write_bytes(b"no zip at all" * 9000)
    add(world, "2.0")
    fetch(world, gate, path)
    until(lambda: offered(gate) == {"1.0": True, "2.0": False}, "it is offered")
    answer = gate.get(url_of(gate, path) + ".metadata")
    assert answer.status_code == 404
    assert "no zip" in answer.reason_phrase
    assert offered(gate) == {"1.0": False, "2.0": False}
    assert asked(world, path) == []


def test_without_a_cache_nothing_is_offered(world: World, home: Home, index: Index) -> None:
    path = add(world)
    home.login(index)
    with home.serve(index, settings=NO_CACHE) as gate:
        assert gate.get(url_of(gate, path)).content == path.read_bytes()
        assert offered(gate) == {"1.0": False}


def test_a_page_with_many_wheels_takes_as_many_lookups_as_one_with_few(
    world: World, home: Home, index: Index, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups: list[str] = []
    execute = sqlite3.connect

    def connect(*arguments: object, **options: object) -> sqlite3.Connection:
        connection = execute(*arguments, **options)  # type: ignore[call-overload]
        connection.set_trace_callback(lookups.append)
        return connection  # type: ignore[no-any-return]

    def count() -> int:
        offered(gate)
        lookups.clear()
        offered(gate)
        return sum(text.startswith("SELECT") and " files " in text for text in lookups)

    monkeypatch.setattr(sqlite3, "connect", connect)
    with home.serve(index) as gate:
        few = count()
        for minor in range(1, 40):
            world.add_private("lib", f"1.{minor}")
        assert count() == few > 0


def test_fetching_ahead_reads_it_too(world: World, home: Home, index: Index, wheel: Path) -> None:
    world.add_private("other", "3.0")
    with home.serve(index) as gate:
        gate.get("/python/simple/lib/", user_agent=PIP)
        until(lambda: bool(world.asked("/python/other/")), "its dependency's page is asked for")
    assert asked(world, wheel) == []


def restrict(world: World, folder: str) -> None:
    """Let nobody read a folder of the protected repository any more."""
    repository = world.crane.repositories["python"]
    rule = PathAccess(folder, read_groups=frozenset({"nobody"}))
    world.crane.repositories["python"] = replace(repository, paths=(*repository.paths, rule))


def write_page(path: Path, sha256: str) -> None:
    """Give a project a page that states a hash."""
    anchor = f'<a href="{path.name}#sha256={sha256}">{path.name}</a>'
    path.with_name("index.html").write_text(f"<title>Links for lib</title>{anchor}")
