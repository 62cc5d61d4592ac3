"""Fetching ahead: what a tool will ask for is there before it asks, and nobody hears more."""

from __future__ import annotations

import gc
import hashlib
from typing import TYPE_CHECKING

import pytest
from gateway.harness import Gate, Home, asked_public, index_of, serving_as_ada
from gateway.tools import PIP, until
from gateway.upstream import Scripted, whole
from support.world import World

from crane_core.gateway import ahead
from crane_core.index.announcement import FIELD, announcement
from crane_devserver import serve_in_thread

if TYPE_CHECKING:
    pass


def pages(world: World, project: str) -> int:
    """Count how often the private index was asked for a project's page."""
    return sum(r.path == f"/python/{project}/" for r in world.crane.requests)


def public_pages(world: World, project: str) -> int:
    """Count the requests for a project's page at the public index."""
    return len([path for path in asked_public(world) if path.endswith(f"/{project}/")])


def ask(gate: Gate, project: str, user_agent: str = PIP, connection: str = "keep-alive") -> None:
    """Ask for a page as a tool does."""
    headers = {"user_agent": user_agent, "connection": connection, "accept": "text/html"}
    answer = gate.get(f"/simple/{project}/", **headers)
    assert answer.status_code == 200


def test_the_pages_of_a_whole_chain_are_asked_for_once_and_before_the_tool_does(
    static: World, home: Home
) -> None:
    static.add_private("app", requires=["middle-lib>=1"])
    static.add_private("middle-lib", requires=["deep-lib"])
    static.add_private("deep-lib")
    with serving_as_ada(static, home) as gate:
        ask(gate, "app")
        until(lambda: pages(static, "deep-lib") > 0, "the last page is fetched")
        for name in ("middle-lib", "deep-lib"):
            ask(gate, name)
            assert pages(static, name) == 1, name


def test_a_requirement_that_does_not_hold_for_the_tool_is_left_alone(
    static: World, home: Home
) -> None:
    static.add_private(
        "app", requires=["for-windows; sys_platform == 'win32'", "with-extra; extra == 'x'", "last"]
    )
    for name in ("for-windows", "with-extra", "last"):
        static.add_private(name)
    with serving_as_ada(static, home) as gate:
        ask(gate, "app")
        until(lambda: pages(static, "last") > 0, "what holds is fetched")
        assert pages(static, "for-windows") == pages(static, "with-extra") == 0


def test_an_extra_that_a_dependency_asks_for_is_followed(static: World, home: Home) -> None:
    static.add_private("app", requires=["lib[fast]"])
    static.add_private("lib", requires=["accelerator; extra == 'fast'"])
    static.add_private("accelerator")
    with serving_as_ada(static, home) as gate:
        ask(gate, "app")
        until(lambda: pages(static, "accelerator") > 0, "the extra's requirement is fetched")


def test_what_a_plugin_announces_is_fetched_together(static: World, home: Home) -> None:
    for version, needs in (("1.0", "old-need"), ("2.0", "new-need")):
        static.add_private("lib", version, requires=[needs, "extra-need; extra == 'more'"])
    for name in ("app", "old-need", "new-need", "extra-need", "for-windows"):
        static.add_private(name)
    static.add_public("secret-plan")
    told = announcement(
        ["app", "lib[more]<2", "for-windows; sys_platform == 'win32'", "secret-plan", "not (valid"]
    )
    with serving_as_ada(static, home) as gate:
        for broken in ("[", '{"a": 1}', '[["lib"]]', "[" * 9000):
            assert gate.get("/simple/app/", user_agent=PIP, crane_requires=broken).is_success
        gate.get("/simple/app/", user_agent=PIP, crane_requires=told)
        for name in ("old-need", "extra-need", "secret-plan"):
            until(lambda name=name: pages(static, name) == 1, f"{name} is fetched")
        assert pages(static, "new-need") == pages(static, "for-windows") == 0
        # Neither the announcement nor a name in it goes to anybody else.
        assert not any("secret-plan" in path for path in asked_public(static))
        assert not any(r.header(FIELD) for r in static.crane.requests)


def test_a_name_from_private_metadata_is_told_to_no_public_index(static: World, home: Home) -> None:
    static.add_private("app", requires=["secret-plan", "last"])
    static.add_private("last")
    static.add_public("secret-plan")
    with serving_as_ada(static, home) as gate:
        ask(gate, "app")
        until(lambda: pages(static, "last") > 0, "the other one is fetched")
        until(lambda: pages(static, "secret-plan") > 0, "the private index is asked")
        assert not any("secret-plan" in path for path in asked_public(static))
        # The tool's own question goes on from there, and does not ask the private index again.
        ask(gate, "secret-plan")
        assert public_pages(static, "secret-plan") == 1
        assert pages(static, "secret-plan") == 1


def test_names_from_public_metadata_go_through_the_whole_order(static: World, home: Home) -> None:
    static.add_public("web-lib", requires=["public-dependency", "own-dependency"])
    static.add_public("public-dependency")
    static.add_public("own-dependency", version="9.9")
    static.add_private("own-dependency")
    with serving_as_ada(static, home) as gate:
        ask(gate, "web-lib")
        until(lambda: public_pages(static, "public-dependency") > 0, "it is fetched")
        until(lambda: pages(static, "own-dependency") > 0, "the private one is fetched")
        assert not any("own-dependency" in path for path in asked_public(static))
        assert gate.names("own-dependency") == ["own_dependency-1.0-py3-none-any.whl"]


def test_a_stranger_gets_what_it_asks_for_and_no_more(static: World, home: Home) -> None:
    static.add_private("app", requires=["lib"])
    static.add_private("lib")
    with serving_as_ada(static, home) as gate:
        ask(gate, "app", user_agent="curl/8.0")
        ask(gate, "app", user_agent="curl/8.0")
    # The gateway has ended, so nothing is under way any more.
    assert pages(static, "lib") == 0


def test_what_is_under_way_for_the_run_before_breaks_nothing(
    static: World, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    """Its guesses are forgotten meanwhile; asyncio logs an error that nobody looks at."""
    names = [f"lib-{number}" for number in range(30)]
    static.add_private("app", requires=names)
    for name in names:
        static.add_private(name, requires=["last"])
    static.add_private("last")
    with serving_as_ada(static, home) as gate:
        for _ in range(5):
            ask(gate, "app", connection="close")
        until(lambda: pages(static, "last") > 0, "the rest is fetched")
        gc.collect()
    assert "never retrieved" not in caplog.text


@pytest.mark.parametrize(
    ("policy", "leisure", "is_asked"),
    [("max-age=60", 3600, False), ("max-age=60", 0, True), ("no-cache", 3600, True)],
)
def test_what_follows_from_a_page_of_the_cache_waits_for_a_tool_that_takes_its_time(
    world: World, home: Home, policy: str, leisure: float, is_asked: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It is in the cache as well, as a rule; to find that out takes as long as uv itself."""
    monkeypatch.setattr(ahead, "LEISURE", leisure)
    metadata = b"Metadata-Version: 2.1\nName: app\nVersion: 1.0\nRequires-Dist: lib\n"
    page = '<title>Links for {0}</title><a href="{0}-1.0-py3-none-any.whl"{1}>x</a>'
    digest = f' data-core-metadata="sha256={hashlib.sha256(metadata).hexdigest()}"'
    folder = "/python/simple"
    index = Scripted({
        f"{folder}/": whole(200, b'<title>Simple index</title><a href="app/"></a>'),
        f"{folder}/app/": whole(200, page.format("app", digest).encode(), cache_control=policy),
        f"{folder}/app/app-1.0-py3-none-any.whl.metadata": whole(200, metadata),
        f"{folder}/lib/": whole(200, page.format("lib", "").encode()),
    })  # fmt: skip

    def asked(path: str) -> int:
        return [target for _, target, _ in index.requests].count(f"{folder}/{path}")

    with serve_in_thread(index) as url:
        registered = index_of(world, url=url + folder)
        home.login(registered)
        with home.serve(registered) as gate:
            for user_agent in ("curl/8.0", PIP):
                assert gate.get(f"{folder}/app/", user_agent=user_agent).status_code == 200
            if is_asked:
                until(lambda: asked("lib/") == 1, "it is fetched")
    assert asked("app/") == (1 if policy == "max-age=60" else 2)
    assert asked("lib/") == is_asked


def test_the_indexs_own_metadata_is_fetched_once_for_the_guess_and_the_tool(
    static: World, home: Home
) -> None:
    wheel = static.add_private("lib")
    beside = wheel.with_name(wheel.name + ".metadata")
    beside.write_bytes(b"Metadata-Version: 2.1\nName: lib\nVersion: 1.0\n")
    path = f"/python/lib/{beside.name}"
    with serving_as_ada(static, home) as gate:
        ask(gate, "lib")
        until(lambda: len(static.asked(path)) == 1, "it is fetched")
        assert gate.get(f"/python/files{path}").content == beside.read_bytes()
        assert len(static.asked(path)) == 1
        home.clock.ahead = 120
        assert gate.get(f"/python/files{path}").content == beside.read_bytes()
        assert len(static.asked(path)) == 2


def test_a_page_that_was_fetched_too_long_ago_is_fetched_anew(static: World, home: Home) -> None:
    static.add_private("app", requires=["lib"])
    static.add_private("lib")
    with serving_as_ada(static, home) as gate:
        ask(gate, "app")
        until(lambda: pages(static, "lib") == 1, "it is fetched")
        until(lambda: len(static.asked("/python/lib/lib")) > 0, "its metadata too, so it is there")
        home.clock.ahead = 30
        static.add_private("lib", version="2.0")
        assert len(gate.names("lib")) == 2


def test_the_next_run_of_a_tool_is_fetched_ahead_of_as_well(static: World, home: Home) -> None:
    """Though it comes at once: by then what the first one had may be too old."""
    static.add_private("app", requires=["lib"])
    static.add_private("lib")
    with serving_as_ada(static, home) as gate:
        for run in (1, 2):
            ask(gate, "app", connection="close")
            until(lambda run=run: pages(static, "lib") == run, "it is fetched")
            ask(gate, "lib", connection="close")
            assert pages(static, "lib") == run
            home.clock.ahead = 30


def test_a_broken_page_fetched_ahead_is_the_tools_to_hear_of_only_if_it_asks(
    static: World, home: Home
) -> None:
    static.add_private("app", requires=["broken", "last"])
    static.add_private("last")
    (static.private / "broken").mkdir()
    (static.private / "broken" / "index.html").write_text("<p>maintenance</p>")
    with serving_as_ada(static, home) as gate:
        ask(gate, "app")
        until(lambda: pages(static, "last") > 0, "the rest is fetched")
        assert gate.project("broken").status_code == 502
