"""Without the index: what came before is served, says so, and only to whom it was given."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from gateway.harness import Gate, Home, asked_public, index_of
from support.world import World, make_world

from crane_core.auth.model import session_key
from crane_core.cache.settings import read_settings
from crane_core.gateway.compose import Settings
from crane_devserver import Fault, write_simple_pages
from crane_devserver.behaviour import STATIC_INDEX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from idp.oidc import Realm

    from crane_core.config.model import Index

OFFLINE = Settings(offline=True)


@pytest.fixture
def static(realm: Realm, tmp_path: Path) -> Iterator[World]:
    """Give indexes of static pages that may be kept."""
    with make_world(tmp_path / "static", realm, behaviour=STATIC_INDEX) as world:
        for server in (world.crane, world.public_server):
            for name, repository in server.repositories.items():
                server.repositories[name] = replace(repository, cache_control="max-age=60")
        yield world


def registered(world: World) -> Index:
    """Return the private index, with the public one's static pages as fallback."""
    return index_of(world, fallback=f"{world.public_url}/simple")


def write_pages(world: World) -> None:
    """Make the pages of what has been uploaded."""
    for folder in (world.private, world.public):
        write_simple_pages(folder)


def used_before(world: World, home: Home) -> Path:
    """Install a private project and a public one once."""
    index = registered(world)
    path = world.add_private("own-lib", size=50_000)
    world.add_public("web-lib")
    write_pages(world)
    home.login(index)
    with home.serve(index) as gate:
        (file,) = gate.files("own-lib")
        assert gate.get(file["url"]).content == path.read_bytes()
        assert gate.names("web-lib")
    return path


def down(world: World) -> None:
    """Let every request to the private index fail."""
    world.crane.faults.append(Fault("/", status=503))


def content(gate: Gate, project: str) -> bytes:
    """Return the one file of a project."""
    (file,) = gate.files(project)
    answer = gate.get(file["url"])
    assert answer.status_code == 200, answer.reason_phrase
    return answer.content


def test_offline_everything_comes_from_before_and_nobody_is_asked(
    static: World, home: Home
) -> None:
    path = used_before(static, home)
    asked, public = len(static.crane.requests), len(asked_public(static))
    home.clock.ahead = 3600
    with home.serve(registered(static), settings=OFFLINE) as gate:
        assert content(gate, "own-lib") == path.read_bytes()
        assert gate.names("web-lib")
        assert gate.project("own-lib").headers["warning"].startswith("110 ")
        missing = gate.project("unknown-lib")
    assert missing.status_code in {502, 504}
    assert "offline" in missing.reason_phrase
    assert (len(static.crane.requests), len(asked_public(static))) == (asked, public)


def test_offline_a_private_name_does_not_come_from_a_public_page_of_before(
    static: World, home: Home
) -> None:
    """Not even if that page is there, from the time before the project was private."""
    used_before(static, home)
    static.add_private("web-lib", version="0.1")
    write_pages(static)
    index = registered(static)
    with home.serve(index) as gate:
        assert gate.names("web-lib") == ["web_lib-0.1-py3-none-any.whl"]
    with home.serve(index, settings=OFFLINE) as gate:
        assert gate.names("web-lib") == ["web_lib-0.1-py3-none-any.whl"]


def test_an_index_that_is_down_is_answered_for_from_before(static: World, home: Home) -> None:
    path = used_before(static, home)
    down(static)
    home.clock.ahead = 3600
    with home.serve(registered(static)) as gate:
        answer = gate.project("own-lib")
        assert answer.status_code == 200
        assert answer.headers["warning"].startswith("110 ")
        assert content(gate, "own-lib") == path.read_bytes()
        assert gate.events[0].stale
        # Whose name this is nobody can say now, so nobody else is asked.
        assert gate.project("web-lib").status_code in {502, 504}


def test_it_counts_for_a_week(static: World, home: Home) -> None:
    used_before(static, home)
    down(static)
    home.clock.ahead = 8 * 86_400
    with home.serve(registered(static)) as gate:
        assert gate.project("own-lib").status_code != 200


def test_after_a_logout_nothing_comes_from_before(static: World, home: Home) -> None:
    used_before(static, home)
    home.store().delete(session_key(registered(static)))
    with home.serve(registered(static), settings=OFFLINE) as gate:
        answer = gate.project("own-lib")
    assert answer.status_code != 200
    assert "crane login" in answer.reason_phrase


def test_another_user_is_given_nothing_from_before(static: World, home: Home) -> None:
    used_before(static, home)
    home.login(registered(static), user="bob")
    with home.serve(registered(static), settings=OFFLINE) as gate:
        assert gate.project("own-lib").status_code != 200


@pytest.mark.parametrize(
    ("own", "usual", "hours", "served"),
    [
        ("30d", None, 8 * 24, True),
        ("30d", "0", 8 * 24, True),
        ("1h", None, 2, False),
        ("0", None, 1, False),
        ("3h", None, 2, True),
    ],
)
def test_an_index_has_a_limit_of_its_own(
    static: World, home: Home, own: str, usual: str | None, hours: int, served: bool
) -> None:
    """For its pages and its files; it counts before the general one, whichever is longer."""
    path = used_before(static, home)
    down(static)
    home.clock.ahead = 3600 * hours
    index = replace(registered(static), stale_limit=own)
    settings = Settings(read_settings({} if usual is None else {"CRANE_STALE_LIMIT": usual}))
    with home.serve(index, settings=settings) as gate:
        page, file = gate.project("own-lib"), gate.get(url_of(gate, path))
    assert (page.status_code == 200) is served
    assert (file.status_code == 200) is served
    if served:
        assert page.headers["warning"].startswith("110 ")
        assert file.content == path.read_bytes()


def url_of(gate: Gate, path: Path) -> str:
    """Return a file's URL at the gateway."""
    return f"{gate.url}/python/files/python/{path.parent.name}/{path.name}"


class TestKeepPages:
    """A Crane server says `no-store`: its user may say otherwise, for when it cannot be asked."""

    @pytest.fixture
    def kept(self, world: World) -> Index:
        """Give the index of which the user says so."""
        return index_of(world, fallback="none", keep_pages=True)

    @pytest.fixture
    def wheel(self, world: World, home: Home, kept: Index) -> Path:
        """Give a wheel that ada has fetched once, by way of its page."""
        path = world.add_private("own-lib", size=50_000)
        home.login(kept)
        with home.serve(kept) as gate:
            (file,) = gate.files("own-lib")
            assert gate.get(file["url"]).content == path.read_bytes()
        world.crane.requests.clear()
        return path

    def test_offline_pages_files_and_metadata_are_there_and_nobody_is_asked(
        self, world: World, home: Home, kept: Index, wheel: Path
    ) -> None:
        home.clock.ahead = 3600
        with home.serve(kept, settings=OFFLINE) as gate:
            assert gate.project("own-lib").headers["warning"].startswith("110 ")
            assert content(gate, "own-lib") == wheel.read_bytes()
            (file,) = gate.files("own-lib")
            assert file["core-metadata"] is True
            assert b"Name: own-lib" in gate.get(file["url"] + ".metadata").content
        assert list(world.crane.requests) == []

    def test_down_they_are_there_too_and_say_so(
        self, world: World, home: Home, kept: Index, wheel: Path
    ) -> None:
        down(world)
        home.clock.ahead = 3600
        with home.serve(kept) as gate:
            assert gate.project("own-lib").headers["warning"].startswith("110 ")
            assert content(gate, "own-lib") == wheel.read_bytes()

    def test_without_that_word_nothing_is_kept(self, world: World, home: Home) -> None:
        index = index_of(world, fallback="none")
        world.add_private("own-lib", size=50_000)
        home.login(index)
        with home.serve(index) as gate:
            assert gate.names("own-lib")
        assert pages(home) == 0
        for word in (False, True):
            with home.serve(replace(index, keep_pages=word), settings=OFFLINE) as gate:
                assert gate.project("own-lib").status_code in {502, 504}

    def test_while_the_index_answers_they_are_of_no_use(
        self, world: World, home: Home, kept: Index, wheel: Path
    ) -> None:
        """Not even to ask whether they have changed (RFC 9111 §5.2.2.5)."""
        world.add_private("own-lib", "2.0")
        with home.serve(kept) as gate:
            for _ in range(2):
                answer = gate.project("own-lib")
                assert len(answer.json()["files"]) == 2
                assert "warning" not in answer.headers
        asked = [r for r in world.crane.requests if r.path == "/python/own-lib/"]
        assert len(asked) == 2
        for request in asked:
            assert request.header("if-modified-since") is None
            assert request.header("if-none-match") is None

    def test_a_refusal_ends_it(self, world: World, home: Home, kept: Index, wheel: Path) -> None:
        """A Crane server says 404."""
        repository = world.crane.repositories["python"]
        nobody = replace(repository, read_groups=frozenset({"nobody"}))
        world.crane.repositories["python"] = nobody
        with home.serve(kept) as gate:
            assert gate.project("own-lib").status_code == 403
        with home.serve(kept, settings=OFFLINE) as gate:
            assert gate.project("own-lib").status_code != 200

    def test_nobody_else_gets_them(self, home: Home, kept: Index, wheel: Path) -> None:
        home.login(kept, user="bob")
        with home.serve(kept, settings=OFFLINE) as gate:
            assert gate.project("own-lib").status_code != 200
        home.store().delete(session_key(kept))
        with home.serve(kept, settings=OFFLINE) as gate:
            assert "crane login" in gate.project("own-lib").reason_phrase

    def test_the_limit_of_time_counts(self, home: Home, kept: Index, wheel: Path) -> None:
        home.clock.ahead = 8 * 86_400
        with home.serve(kept, settings=OFFLINE) as gate:
            assert gate.project("own-lib").status_code != 200

    def test_who_takes_the_word_back_has_none_any_more(
        self, home: Home, kept: Index, wheel: Path
    ) -> None:
        assert pages(home) > 0
        with home.serve(replace(kept, keep_pages=False), settings=OFFLINE) as gate:
            assert gate.project("own-lib").status_code != 200
        with home.serve(kept, settings=OFFLINE) as gate:
            assert gate.project("own-lib").status_code != 200


def pages(home: Home) -> int:
    """Count the pages on the disk."""
    with contextlib.closing(sqlite3.connect(home.paths.cache / "cache.sqlite3")) as database:
        return int(database.execute("SELECT count(*) FROM pages").fetchone()[0])
