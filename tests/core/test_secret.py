"""A secret does not show itself, however it gets into a text."""

from __future__ import annotations

import json
import pickle

import pytest

from crane_core.secret import Secret

SECRET = Secret("hunter2")


@pytest.mark.parametrize(
    "text",
    [str(SECRET), repr(SECRET), f"{SECRET}", f"{SECRET:>20}", "%s" % SECRET, str([SECRET]),  # noqa: UP031
     f"{ValueError(SECRET)!r}"],
)  # fmt: skip
def test_no_text_shows_it(text: str) -> None:
    assert "hunter2" not in text
    assert "***" in text


def test_it_is_not_serialised_by_accident() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(SECRET)
    with pytest.raises(TypeError):
        json.dumps(SECRET)


def test_it_is_compared_by_value_and_never_with_a_string() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert SECRET.reveal() == "hunter2"
