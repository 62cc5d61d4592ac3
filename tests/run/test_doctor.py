"""`crane doctor TOOL`: real tools, and what keeps one from coming to crane."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from run.kit import Machine
from support.world import User


def findings(ada: Machine, *arguments: str, code: int = 0, **extra: str) -> list[tuple[str, str]]:
    """Run the doctor, and return each line's state and text with its fix."""
    done = ada.user.crane("doctor", "--json", *arguments, **extra)
    answer = json.loads(done.stdout)
    assert done.returncode == answer["exit_code"] == code, done.stdout + done.stderr
    found = [(f["state"], f"{f['text']}; {f['fix']}") for f in answer["data"]["findings"]]
    assert (code == 0) == ("bad" not in {state for state, _ in found})
    return found


PROGRAMS = Path(sys.executable).parent


@pytest.mark.parametrize("tool", ["curl", "wget", str(PROGRAMS / "uv"), str(PROGRAMS / "pip")])
def test_a_tool_that_is_served(ada: Machine, tool: str) -> None:
    """Whatever the user's settings say of other indexes."""
    found = findings(ada, tool, PIP_NO_INDEX="1", PIP_EXTRA_INDEX_URL="http://127.0.0.1:9/x")

    assert [state for state, _ in found] == ["good"] * 3
    assert "with your login added" in found[2][1]
    assert ada.agents()


def test_a_tool_that_reads_no_proxy_variables(ada: Machine) -> None:
    found = findings(ada, "--", "curl", "-sS", "--noproxy", "*", ada.site.index_url, code=35)

    assert [state for state, _ in found] == ["bad", "warning"]
    assert "did not come to crane" in found[0][1]
    assert "run: crane serve" in found[0][1]
    assert "curl said: curl: (" in found[1][1]


def test_a_tool_with_certificates_of_its_own(ada: Machine) -> None:
    options = ("--cacert", ada.site.net.ca_file, "-sS", ada.site.index_url)

    found = findings(ada, "--", "curl", *options, code=35)

    assert [state for state, _ in found] == ["good", "bad", "warning"]
    assert "does not trust crane's certificate" in found[1][1]
    assert found[2][1].startswith("curl said: ")


def test_for_people_it_is_one_line_each(ada: Machine) -> None:
    done = ada.user.crane("doctor", "--", "curl", "-sS", f"{ada.site.index_url}/simple/")

    assert [line[0] for line in done.stdout.splitlines()] == ["✓", "✓", "✓"]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["java"], 2, "crane doctor -- java ARGUMENT … with https://"),
        (["--", "no-such-tool", "x"], 127, "no-such-tool: command not found"),
        (["--index", "nobody", "curl"], 5, "nobody"),
    ],
)
def test_what_cannot_be_asked(ada: Machine, arguments: list[str], code: int, text: str) -> None:
    done = ada.user.crane("doctor", *arguments)

    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_an_index(user: User) -> None:
    done = user.crane("doctor", "curl")

    assert done.returncode == 5
    assert "crane index register" in done.stderr


def test_nothing_is_left_behind(ada: Machine) -> None:
    """No folder, and no view."""
    before = set(ada.user.home.iterdir())

    findings(ada, "--", sys.executable, "-c", "print('nothing asked')", code=35)

    assert set(ada.user.home.iterdir()) <= {*before, ada.user.home / ".cache"}
    (agent,) = ada.status()
    assert agent["views"] == []
