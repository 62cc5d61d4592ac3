"""What is published is known at once: a new version, and another file under an old name."""

from __future__ import annotations

import hashlib
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from gateway.harness import Gate, Home
from gateway.tools import PIP, until
from poetry.kit import write_pages
from publish.kit import Desk, desk_at, guard
from support.serving import serving
from support.world import User, World

from crane_devserver.behaviour import STATIC_INDEX
from crane_devserver.wheels import make_wheel, wheel_metadata


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def require_served(gate: Gate, wheel: Path) -> None:
    """Ask for all that there is of a wheel."""
    (file,) = [f for f in gate.files("firm-lib") if f["filename"] == wheel.name]
    assert file["hashes"] in ({"sha256": sha256(wheel)}, {})
    got = gate.get(file["url"])
    assert got.status_code == 200, got.reason_phrase
    assert got.content == wheel.read_bytes()
    beside = gate.get(f"{file['url']}.metadata")
    assert beside.content == wheel_metadata(wheel), beside.reason_phrase
    (file,) = [f for f in gate.files("firm-lib") if f["filename"] == wheel.name]
    assert file["hashes"] == {"sha256": sha256(wheel)}


def require_read_ahead(gate: Gate, world: World) -> None:
    """Ask for the page as pip, and wait until the wheel's metadata have been read for it."""
    world.add_private("old-dep")
    gate.get("/python/simple/firm-lib/", user_agent=PIP, accept="text/html")
    until(lambda: any("/old-dep/" in r.path for r in world.crane.requests), "they are read")


@pytest.mark.parametrize("ranges", [True, False])
def test_another_wheel_under_its_name(desk: Desk, tmp_path: Path, ranges: bool) -> None:
    """Its administrators removed the first. Neither who published it knows that one still, nor
    another gateway, which has given it to a tool; whoever makes the metadata.
    """
    world = desk.world
    repositories = world.crane.repositories
    repositories["python"] = replace(repositories["python"], cache_control="max-age=600")
    world.crane.behaviour = replace(world.crane.behaviour, ranges=ranges)
    old = make_wheel(tmp_path, "firm-lib", "1.0", requires=["old-dep"], size=1000)
    new = make_wheel(tmp_path / "new", "firm-lib", "1.0", requires=["new-dep"], size=1000)
    folder = world.private / "firm-lib"
    with desk.home.serve(desk.index, guard=guard) as another:
        assert desk.upload(old).status_code == 200
        for gate in (desk.gate, another):
            require_served(gate, old)
            require_served(gate, old)
        require_read_ahead(another, world)
        for beside in (old.name, f"{old.name}.metadata"):
            (folder / beside).unlink()
        assert desk.upload(new).status_code == 200
        for gate in (another, desk.gate):
            require_served(gate, new)
    with desk.home.serve(desk.index, guard=guard) as later:
        require_served(later, new)


def test_another_wheel_at_an_index_like_pypi(world: World, home: Home, tmp_path: Path) -> None:
    """Which does not say where the file is; its metadata is read out of the wheel."""
    world.crane.behaviour = replace(STATIC_INDEX, legacy_uploads=True)
    old = make_wheel(tmp_path, "firm-lib", "1.0", requires=["old-dep"], size=1000)
    new = make_wheel(tmp_path / "new", "firm-lib", "1.0", requires=["new-dep"], size=1000)
    with desk_at(world, home) as desk, home.serve(desk.index, guard=guard) as another:
        assert desk.upload(old).status_code == 200
        for gate in (desk.gate, another):
            require_served(gate, old)
        require_read_ahead(another, world)
        # Somebody else puts another one there, and it is noticed; then the first comes again.
        stored = world.private / "firm-lib" / old.name
        for wheel in (new, old):
            stored.write_bytes(wheel.read_bytes())
            os.utime(stored, (1, 1))
            home.clock.ahead += 3600
            with pytest.raises(httpx2.TransportError) if wheel is new else nullcontext():
                desk.gate.get(desk.gate.files("firm-lib")[0]["url"])
            stored.unlink()
            assert desk.upload(old).status_code == 200
            require_served(desk.gate, old)
        stored.unlink()
        assert desk.upload(new).status_code == 200
        for gate in (another, desk.gate):
            require_served(gate, new)


def test_a_new_version_is_news_to_every_gateway(desk: Desk, tmp_path: Path) -> None:
    """Although its index lets a page be kept for ten minutes, and it was just given out."""
    repositories = desk.world.crane.repositories
    repositories["python"] = replace(repositories["python"], cache_control="max-age=600")
    desk.world.add_private("firm-lib", "1.0")
    write_pages(desk.world.private)
    page = desk.world.private / "firm-lib" / "index.html"
    with desk.home.serve(desk.index, guard=guard) as another:
        gates = (another, desk.gate)
        for version in ("1.1", "1.2"):
            assert all(another.names("firm-lib") == g.names("firm-lib") for g in gates)
            wheel = make_wheel(tmp_path, "firm-lib", version)
            page.write_text(page.read_text() + f'<a href="{wheel.name}">{wheel.name}</a>')
            assert wheel.name not in another.names("firm-lib"), "it is not kept: it shows nothing"
            assert desk.upload(wheel).status_code == 200
            for gate in gates:
                assert wheel.name in gate.names("firm-lib")
        # What is there is still kept, and asked for once.
        desk.world.crane.requests.clear()
        for _ in range(5):
            another.names("firm-lib")
        assert not desk.world.crane.requests


def test_it_is_to_another_process(world: World, logged_in: User, tmp_path: Path) -> None:
    """A `crane serve` that has just given the page out; the agent publishes."""
    repositories = world.crane.repositories
    repositories["python"] = replace(repositories["python"], cache_control="max-age=600")
    world.add_private("firm-lib", "1.0")
    write_pages(world.private)
    page = world.private / "firm-lib" / "index.html"
    wheel = make_wheel(tmp_path, "firm-lib", "1.1")
    with serving(logged_in) as served, httpx2.Client(trust_env=False) as http:
        url = f"{served.url}/python/simple/firm-lib/"
        assert "firm_lib-1.0" in http.get(url).text
        page.write_text(page.read_text() + f'<a href="{wheel.name}">{wheel.name}</a>')
        assert wheel.name not in http.get(url).text, "it is not kept: it shows nothing"
        logged_in.crane("publish", str(wheel), check=True)
        assert wheel.name in http.get(url).text
