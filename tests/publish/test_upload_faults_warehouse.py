"""Answers of PyPI-style indexes that are a success by their status alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from publish.kit import Desk

from crane_devserver import Behaviour, Fault
from crane_devserver.behaviour import STATIC_INDEX
from crane_devserver.wheels import make_wheel

MIB = 1 << 20
LOGIN = '<html><title>Sign in</title><form><input name="p" type="password"></form></html>'


@pytest.fixture
def behaviour() -> Behaviour:
    return replace(STATIC_INDEX, legacy_uploads=True)


def test_a_success_is_of_the_whole_file_and_no_login_page(desk: Desk, tmp_path: Path) -> None:
    """Neither a page that asks for a password, nor an answer before the file was sent."""
    small = make_wheel(tmp_path, "firm-lib", "1.0")
    large = make_wheel(tmp_path, "big-lib", "1.0", size=24 * MIB)
    html = (("content-type", "text/html"),)
    for wheel, body, status, why in (
        (small, LOGIN, 403, "it answered with a login page"),
        (large, "thanks", 424, "answered HTTP 200 before it had all of"),
    ):
        fault = Fault("/python/", status=200, body=body, headers=html, methods=frozenset({"POST"}))
        with desk.world.crane.faults.during(fault):
            done = desk.upload(wheel)
        assert (done.status_code, why in done.reason_phrase) == (status, True), done.reason_phrase
        assert desk.stored() == set()
    assert desk.upload(small).status_code == 200
