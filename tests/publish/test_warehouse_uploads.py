"""Uploads to indexes that take the legacy form themselves, as PyPI does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from gateway.harness import Home
from publish.kit import Desk, desk_at
from support.world import World

from crane_devserver import Behaviour, Fault
from crane_devserver.behaviour import STATIC_INDEX
from crane_devserver.sdists import make_sdist
from crane_devserver.wheels import make_wheel

MIB = 1 << 20


@pytest.fixture
def behaviour() -> Behaviour:
    return replace(STATIC_INDEX, legacy_uploads=True)


def test_the_form_goes_on_as_it_came(desk: Desk, tmp_path: Path) -> None:
    """With attestations (PEP 740), with the token, and without the tool's login."""
    attestations = json.dumps([{"version": 1, "envelope": {"statement": "\u00e9" * 5000}}])
    wheel = make_wheel(tmp_path, "firm-lib", "1.0")
    done = desk.upload(
        wheel, attestations=attestations, headers={"user-agent": "twine/7", "authorization": "x"}
    )
    assert done.status_code == 200, done.reason_phrase

    (form,) = desk.world.crane.forms
    assert form.value("attestations") == attestations
    assert [key for key, _ in form.fields][:2] == [":action", "protocol_version"]
    (post,) = [r for r in desk.world.crane.requests if r.method == "POST"]
    assert post.path == "/python/"
    assert post.header("user-agent") == "twine/7"
    assert (post.header("authorization") or "").startswith("Bearer ")
    assert post.header("transfer-encoding") is None
    # Nothing is read back, since the index compares the digests itself.
    assert not [r for r in desk.world.crane.requests if r.path.endswith(".whl")]
    assert desk.gate.names("firm-lib") == [wheel.name]


def test_a_large_one_in_chunks(desk: Desk, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "big-lib", "1.0", size=20 * MIB)
    assert desk.upload(wheel).status_code == 200
    assert (desk.world.private / "big-lib" / wheel.name).read_bytes() == wheel.read_bytes()


def test_a_false_one_is_not_sent_to_its_end(desk: Desk, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "big-lib", "1.0", size=20 * MIB)
    done = desk.upload(wheel, sha256_digest="0" * 64)
    assert (done.status_code, "another sha256" in done.reason_phrase) == (400, True)
    assert desk.world.crane.forms == []


def test_the_indexs_answers(desk: Desk, tmp_path: Path) -> None:
    """Their bodies as they came, since tools look there for what means *it exists*."""
    sdist = make_sdist(tmp_path, "firm-lib", "1.0")
    assert desk.upload(sdist).status_code == 200
    assert desk.upload(sdist).status_code == 200
    other = make_sdist(tmp_path / "other", "firm-lib", "1.0", requires=["x"])
    done = desk.upload(other)
    assert done.status_code == 400
    assert "File already exists" in done.reason_phrase
    assert done.reason_phrase.startswith("crane: python")
    assert done.text == "File already exists ('firm_lib-1.0.tar.gz'). See the index's help.\n"

    for status, body, why in (
        (403, "Invalid API Token", "does not let you publish firm-lib: Invalid API Token"),
        (409, "a conflict", "a conflict"),
        (405, "", "--upload-url"),
        (413, "<html><title>too big</title>", "takes no file as large"),
        (503, "", "HTTP 503"),
    ):
        fault = Fault("/python/", status=status, body=body, methods=frozenset({"POST"}))
        with desk.world.crane.faults.during(fault):
            done = desk.upload(sdist)
        assert done.status_code == status
        assert why in done.reason_phrase

    moved = (("location", "https://up.example/legacy/"),)
    fault = Fault("/python/", status=308, headers=moved, methods=frozenset({"POST"}))
    with desk.world.crane.faults.during(fault):
        done = desk.upload(sdist)
    assert (done.status_code, "https://up.example/legacy/" in done.reason_phrase) == (400, True)


def test_an_upload_url(world: World, home: Home, tmp_path: Path) -> None:
    """With its slash; and how the index takes uploads need not be found out."""
    url = f"{world.index_url}/legacy/"
    with desk_at(world, home, upload_url=url, publish="warehouse") as desk:
        assert desk.upload(make_wheel(tmp_path, "firm-lib", "1.0")).status_code == 200
        assert desk.posts() == ["/python/legacy/"]
        assert [r.path for r in world.crane.requests] == ["/python/legacy/"]


def test_an_index_that_cannot_be_asked_is_not_guessed_about(desk: Desk, tmp_path: Path) -> None:
    desk.world.crane.faults.append(Fault("/python/", status=503, methods=frozenset({"GET"})))
    done = desk.upload(make_wheel(tmp_path, "firm-lib", "1.0"))
    assert (done.status_code, "HTTP 503" in done.reason_phrase) == (504, True)
    assert desk.posts() == []
