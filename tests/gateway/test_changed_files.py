"""Other bytes under a known URL are refused, and hashes seen once are served from then on."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import httpx2
import pytest
from gateway.depot import lose_files, until_kept
from gateway.harness import Gate, Home

if TYPE_CHECKING:
    from support.world import World

    from crane_core.config.model import Index


def download_then_replace(world: World, home: Home, gate: Gate, size: int = 0) -> str:
    """Fetch a file, replace it upstream, have the cache lose it, and return its URL."""
    path = world.add_private("changed-lib", size=size)
    (file,) = gate.files("changed-lib")
    assert gate.get(file["url"]).content == path.read_bytes()
    path.write_bytes(path.read_bytes()[::-1])
    lose_files(home.paths.cache)
    url: str = file["url"]
    return url


@pytest.mark.parametrize("size", [0, 500_000])
def test_a_changed_file_is_a_broken_transfer_first_and_refused_with_the_reason_from_then_on(
    world: World, home: Home, gate: Gate, size: int
) -> None:
    url = download_then_replace(world, home, gate, size)

    with pytest.raises(httpx2.RemoteProtocolError):
        gate.get(url)
    answer = gate.get(url)

    assert answer.status_code == 504
    assert "is not the file it was before" in answer.reason_phrase
    assert "crane index release python changed-lib" in answer.reason_phrase
    problem = "changed_lib-1.0-py3-none-any.whl at python is not the file it was before"
    assert [problem in event.problem for event in gate.events[-2:]] == [True, True]


def test_a_change_is_found_out_when_the_index_is_asked_again(
    world: World, home: Home, gate: Gate
) -> None:
    path = world.add_private("changed-lib")
    (file,) = gate.files("changed-lib")
    before = path.read_bytes()
    assert gate.get(file["url"]).content == before
    until_kept(home.paths.cache)
    path.write_bytes(before[::-1])
    os.utime(path, (1, 1))

    assert gate.get(file["url"]).content == before, "the index's word counts for ten minutes"
    home.clock.ahead += 601
    with pytest.raises(httpx2.RemoteProtocolError):
        gate.get(file["url"])
    assert gate.get(file["url"]).status_code == 504


def test_the_next_gateway_remembers_the_first_bytes_too(
    world: World, home: Home, index: Index, gate: Gate
) -> None:
    url = download_then_replace(world, home, gate).removeprefix(gate.url)
    with home.serve(index) as later, pytest.raises(httpx2.RemoteProtocolError):
        later.get(url)


def test_the_command_in_the_reason_helps_without_a_restart(
    world: World, home: Home, index: Index, gate: Gate
) -> None:
    url = download_then_replace(world, home, gate)
    with pytest.raises(httpx2.RemoteProtocolError):
        gate.get(url)

    assert home.release(index, "changed-lib")

    assert gate.get(url).status_code == 200


def test_a_page_without_hashes_has_them_once_the_file_has_passed(world: World, gate: Gate) -> None:
    path = world.add_private("hashless-lib")
    other = world.add_private("hashless-lib", "2.0")
    before = {file["filename"]: file for file in gate.files("hashless-lib")}
    assert all(file["hashes"] == {} for file in before.values())

    gate.get(before[path.name]["url"])

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    after = {file["filename"]: file["hashes"] for file in gate.files("hashless-lib")}
    assert after == {path.name: {"sha256": digest}, other.name: {}}
    html = gate.get("/simple/hashless-lib/", accept="text/html").text
    assert f"{path.name}#sha256={digest}" in html


def test_a_head_or_a_part_teaches_no_hash(world: World, gate: Gate) -> None:
    from dataclasses import replace

    world.crane.behaviour = replace(world.crane.behaviour, ranges=True)
    world.add_private("part-lib")
    (file,) = gate.files("part-lib")
    assert gate.request("HEAD", file["url"]).status_code == 200
    assert gate.get(file["url"], range="bytes=0-9").status_code == 206
    assert gate.files("part-lib")[0]["hashes"] == {}


def test_a_hash_that_the_index_gives_is_never_replaced(world: World, gate: Gate) -> None:
    path = world.add_private("hashed-lib")
    wrong = "0" * 64
    (world.private / "hashed-lib" / "index.html").write_text(
        f'<a href="{path.name}#sha256={wrong}">{path.name}</a>'
    )
    (file,) = gate.files("hashed-lib")
    gate.get(file["url"])
    assert gate.files("hashed-lib")[0]["hashes"] == {"sha256": wrong}


def test_release_forgets_the_hashes_of_a_sdist_as_well(
    world: World, home: Home, index: Index, gate: Gate
) -> None:
    from crane_devserver import make_sdist

    sdist = make_sdist(world.private / "src-lib", "src-lib", "1.0")
    (file,) = gate.files("src-lib")
    gate.get(file["url"])
    assert gate.files("src-lib")[0]["hashes"]
    home.release(index, "src-lib")
    assert gate.files("src-lib")[0]["hashes"] == {}, sdist.name


def test_a_changed_metadata_file_is_refused_as_well(world: World, home: Home, gate: Gate) -> None:
    """It decides what a resolver installs."""
    path = world.add_private("meta-lib")
    metadata = path.with_name(path.name + ".metadata")
    metadata.write_text("Metadata-Version: 2.1\nName: meta-lib\nVersion: 1.0\n")
    (file,) = gate.files("meta-lib")
    assert file["core-metadata"] is True
    assert gate.get(f"{file['url']}.metadata").text == metadata.read_text()

    metadata.write_text(metadata.read_text() + "Requires-Dist: evil\n")
    lose_files(home.paths.cache)

    with pytest.raises(httpx2.RemoteProtocolError):
        gate.get(f"{file['url']}.metadata")
    assert gate.get(f"{file['url']}.metadata").status_code == 504
