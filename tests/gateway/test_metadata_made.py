"""Metadata that the index has not: made from the wheel's end, offered, and the same bytes."""

from __future__ import annotations

import json
import re
import zipfile
from typing import TYPE_CHECKING

import pytest
from gateway.harness import Home, index_of, serving_as_ada
from support.world import World

from crane_devserver import Fault

if TYPE_CHECKING:
    from pathlib import Path


def metadata_in(wheel: Path) -> bytes:
    """Return METADATA as an installer will find it."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        return archive.read(name)


def bytes_asked(world: World, wheel: Path) -> list[str | None]:
    """Return the Range of each request for a wheel."""
    return [r.header("range") for r in world.crane.requests if r.path.endswith(wheel.name)]


def test_a_wheel_without_metadata_gets_it_and_its_bytes_are_the_wheels(
    static: World, home: Home
) -> None:
    wheel = static.add_private("lib", requires=["other>=2"], size=2_000_000)
    with serving_as_ada(static, home) as gate:
        (file,) = gate.files("lib")
        assert file["core-metadata"] is True
        answer = gate.get(file["url"] + ".metadata")
    assert answer.status_code == 200
    assert answer.content == metadata_in(wheel)
    # Read once, from its end, whatever it was needed for.
    assert len(bytes_asked(static, wheel)) == 1
    assert all(bytes_asked(static, wheel))


def test_a_large_wheel_is_asked_for_more_at_once_if_its_size_is_known(
    static: World, home: Home
) -> None:
    wheel = static.add_private("lib", size=2_000_000)
    size = wheel.stat().st_size
    page = {
        "meta": {"api-version": "1.1"}, "name": "lib", "versions": ["1.0"],
        "files": [{"filename": wheel.name, "url": wheel.name, "hashes": {}, "size": size}],
    }  # fmt: skip
    headers = (("content-type", "application/vnd.pypi.simple.v1+json"),)
    fault = Fault(re.compile("/lib/$"), status=200, headers=headers, body=json.dumps(page))
    static.crane.faults.append(fault)
    with serving_as_ada(static, home) as gate:
        (file,) = gate.files("lib")
        assert gate.get(file["url"] + ".metadata").content == metadata_in(wheel)
    assert bytes_asked(static, wheel) == [f"bytes=-{size // 40}"]


def test_html_offers_it_under_both_names(static: World, home: Home) -> None:
    static.add_private("lib")
    with serving_as_ada(static, home) as gate:
        page = gate.get("/simple/lib/", accept="text/html").text
    assert 'data-core-metadata="true" data-dist-info-metadata="true"' in page


def test_the_indexs_own_metadata_stays_and_is_passed_through(static: World, home: Home) -> None:
    wheel = static.add_private("lib")
    wheel.with_name(wheel.name + ".metadata").write_bytes(b"the index's own\n")
    with serving_as_ada(static, home) as gate:
        (file,) = gate.files("lib")
        assert gate.get(file["url"] + ".metadata").content == b"the index's own\n"


def test_an_index_without_ranges_is_asked_for_no_whole_wheel(world: World, home: Home) -> None:
    wheel = world.add_private("lib", size=2_000_000)
    with serving_as_ada(world, home) as gate:
        (file,) = gate.files("lib")
        assert "core-metadata" not in file
        gate.files("lib")
    assert len(bytes_asked(world, wheel)) == 1, "one question tells it for good"


@pytest.mark.parametrize("content", [b"", b"no zip at all" * 9, b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_wheel_is_offered_none_once_that_is_known(
    static: World, home: Home, content: bytes
) -> None:
    static.add_private("good-lib")
    folder = static.private / "bad-lib"
    folder.mkdir()
    (folder / "bad_lib-1.0-py3-none-any.whl").write_bytes(content)
    with serving_as_ada(static, home) as gate:
        gate.files("good-lib")
        (before,) = gate.files("bad-lib")
        answer = gate.get(before["url"] + ".metadata")
        (after,) = gate.files("bad-lib")
        said = [event for event in gate.events if "no metadata for this file" in event.problem]
        gate.get(before["url"] + ".metadata")
    assert before["core-metadata"] is True
    assert answer.status_code == 404
    assert "no metadata for bad_lib" in answer.reason_phrase
    assert "core-metadata" not in after
    assert len(said) == 1, "said once"


def test_metadata_is_refused_with_the_wheel(static: World, home: Home) -> None:
    """Whoever may not read a wheel may not read what is in it."""
    static.add_private("lib")
    with serving_as_ada(static, home) as gate:
        (file,) = gate.files("lib")
        home.store().delete(next(iter(home.store().accounts(index_of(static)))))
        answer = gate.get(file["url"] + ".metadata")
    assert answer.status_code == 403
    assert "crane login" in answer.reason_phrase
