"""How the gateway finds out how an index takes uploads, where the index does not say it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from publish.kit import Desk

from crane_core.gateway.uploads import kinds
from crane_devserver import Fault
from crane_devserver.wheels import make_wheel

GET = frozenset({"GET"})


def test_silence_ends_and_a_guess_is_not_kept(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was recognised is kept."""
    wheel = make_wheel(tmp_path, "firm-lib", "1.0")
    faults = desk.world.crane.faults
    monkeypatch.setattr(kinds, "QUESTION_SECONDS", 0.5)
    with faults.during(Fault("/python/", delay_seconds=3.0, methods=GET)):
        done = desk.upload(wheel)
    assert done.status_code == 504
    assert "did not answer within 0.5 s" in done.reason_phrase
    assert desk.posts() == []

    monkeypatch.setattr(kinds, "QUESTION_SECONDS", 20.0)
    monkeypatch.setattr(kinds, "GUESS_SECONDS", 0.0)
    hidden = re.compile(r"^/python/$|^/\.well-known/")
    with faults.during(Fault(hidden, status=404, methods=GET)):
        assert desk.upload(wheel).status_code != 200
    assert desk.posts() == ["/python/"], "it was not guessed wrong, so this shows nothing"
    assert desk.upload(wheel).status_code == 200
    with faults.during(Fault(hidden, status=404, methods=GET)):
        assert desk.upload(make_wheel(tmp_path, "firm-lib", "1.1")).status_code == 200
