"""What is left at a Crane server of uploads before, or of one that failed."""

from __future__ import annotations

from pathlib import Path

from publish.kit import Desk

from crane_devserver import Fault
from crane_devserver.wheels import make_wheel


def test_another_wheels_metadata_is_told(desk: Desk, tmp_path: Path) -> None:
    """The administrators removed the wheel, and not what lies beside it."""
    old = make_wheel(tmp_path, "firm-lib", "1.0", requires=["old-dep"])
    assert desk.upload(old).status_code == 200
    (desk.world.private / "firm-lib" / old.name).unlink()
    assert not [event for event in desk.gate.events if event.problem]

    new = make_wheel(tmp_path / "new", "firm-lib", "1.0", requires=["new-dep"])
    done = desk.upload(new)
    assert done.status_code == 200
    # What twine shows with --verbose, and what crane publish prints.
    for told in (done.reason_phrase, done.text):
        assert "is published at python, but not its metadata (another one is there" in told
    (problem,) = [event.problem for event in desk.gate.events if event.problem]
    assert "another one is there, which is not this wheel's" in problem
    assert f"{new.name}.metadata); ask the index's administrators to remove it" in problem


def test_what_is_left_is_told_whatever_failed(desk: Desk, tmp_path: Path) -> None:
    """Also where the index refuses the login in the end."""
    wheel = make_wheel(tmp_path, "firm-lib", "1.0", size=1000)
    part = desk.world.private / "firm-lib" / wheel.name
    part.parent.mkdir()
    part.write_bytes(wheel.read_bytes()[:500])
    fault = Fault("/python/", status=401, methods=frozenset({"POST"}))
    with desk.world.crane.faults.during(fault):
        done = desk.upload(wheel)
    assert done.status_code >= 400
    assert "refused a fresh login" in done.reason_phrase
    assert "500 bytes are left at" in done.reason_phrase
