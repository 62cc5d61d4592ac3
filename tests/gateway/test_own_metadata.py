"""Metadata files whose hash the page gives: one request, for the guess and for the tool."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from gateway.harness import Home, index_of, serving_as_ada
from gateway.test_ahead import ask
from gateway.test_offline import down
from gateway.tools import until

if TYPE_CHECKING:
    from support.world import World

METADATA = b"Metadata-Version: 2.1\nName: lib\nVersion: 1.0\n"


@dataclass(frozen=True)
class Lib:
    """A project whose page gives the hash of its wheel's metadata."""

    world: World
    path: str

    @property
    def local(self) -> str:
        return f"/python/files{self.path}"

    @property
    def asked(self) -> list[str]:
        """The methods with which the index was asked for the metadata."""
        return [r.method for r in self.world.crane.requests if r.path == self.path]


@pytest.fixture
def lib(static: World) -> Lib:
    return make(static, hashlib.sha256(METADATA).hexdigest())


def make(world: World, digest: str) -> Lib:
    wheel = world.add_private("lib")
    wheel.with_name(wheel.name + ".metadata").write_bytes(METADATA)
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (wheel.parent / "index.html").write_text(
        f'<a href="{wheel.name}#sha256={sha256}" data-core-metadata="sha256={digest}">x</a>'
    )
    return Lib(world, f"/python/lib/{wheel.name}.metadata")


def test_the_tool_gets_what_was_fetched_for_the_guess(lib: Lib, home: Home) -> None:
    with serving_as_ada(lib.world, home) as gate:
        ask(gate, "lib")
        until(lambda: lib.asked == ["GET"], "it is fetched")
        assert gate.get(lib.local).content == METADATA
        assert lib.asked == ["GET"]


def test_whether_it_may_be_read_is_asked_again_after_a_while(lib: Lib, home: Home) -> None:
    """Its content cannot have changed."""
    with serving_as_ada(lib.world, home) as gate:
        ask(gate, "lib")
        assert gate.get(lib.local).content == METADATA
        home.clock.ahead = 500
        assert gate.get(lib.local).content == METADATA
        assert lib.asked == ["GET"]
        home.clock.ahead = 610
        assert gate.get(lib.local).content == METADATA
        assert lib.asked == ["GET", "HEAD"]


def test_what_may_not_be_read_any_more_is_not_given(lib: Lib, home: Home) -> None:
    with serving_as_ada(lib.world, home) as gate:
        ask(gate, "lib")
        assert gate.get(lib.local).status_code == 200
        (lib.world.private / "lib" / lib.path.rpartition("/")[2]).unlink()
        home.clock.ahead = 610
        assert gate.get(lib.local).status_code == 404


def test_what_the_page_does_not_name_is_refused(static: World, home: Home) -> None:
    lib = make(static, "0" * 64)
    with serving_as_ada(static, home) as gate:
        ask(gate, "lib")
        answer = gate.get(lib.local)
        assert answer.status_code == 504
        assert "is not what the index's page says" in answer.reason_phrase


def test_the_next_run_has_it_and_gives_it_while_the_index_is_down(lib: Lib, home: Home) -> None:
    with serving_as_ada(lib.world, home) as gate:
        ask(gate, "lib")
        assert gate.get(lib.local).content == METADATA
    home.clock.ahead = 700
    with home.serve(index_of(lib.world)) as gate:
        ask(gate, "lib")
        down(lib.world)
        assert gate.get(lib.local).content == METADATA


def test_nobody_who_is_not_logged_in_gets_it(lib: Lib, home: Home) -> None:
    with serving_as_ada(lib.world, home) as gate:
        ask(gate, "lib")
        assert gate.get(lib.local).content == METADATA
        home.store().delete(next(iter(home.store().accounts(index_of(lib.world)))))
        answer = gate.get(lib.local)
        assert answer.status_code == 403
        assert "crane login" in answer.reason_phrase
