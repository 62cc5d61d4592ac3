"""Colours are for terminals, and for who asks for them; `NO_COLOR` comes before all."""

from __future__ import annotations

import io

import pytest
from support.pips import index_of, register
from support.world import User, World

from crane_cli.colours import has_colours


class Terminal(io.StringIO):
    """A stream that says what it is."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "terminal", "pipe"),
    [
        ({"TERM": "xterm"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({}, False, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}, False, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"CLICOLOR_FORCE": "1"}, True, True),
        ({"TERM": "xterm", "CLICOLOR_FORCE": "0"}, True, False),
        ({"TERM": "xterm", "FORCE_COLOR": "0"}, False, False),
        ({"TERM": "xterm", "CLICOLOR": "0"}, False, False),
        ({"CLICOLOR": "0", "CLICOLOR_FORCE": "1"}, True, True),
    ],
)
def test_who_gets_colours(variables: dict[str, str], terminal: bool, pipe: bool) -> None:
    assert has_colours(Terminal(), variables) is terminal
    assert has_colours(io.StringIO(), variables) is pipe


def test_doctors_marks(user: User, world: World) -> None:
    register(user, index_of(world))
    coloured = user.crane("doctor", FORCE_COLOR="1").stdout
    plain = user.crane("doctor", FORCE_COLOR="1", NO_COLOR="1").stdout

    assert "\x1b[32m✓\x1b[0m crane " in coloured
    assert "\x1b[31m✗\x1b[0m " in coloured
    assert "\x1b" not in plain + user.crane("doctor", "--json", FORCE_COLOR="1").stdout
