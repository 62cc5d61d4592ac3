"""Values come through every shell's quoting as they are."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crane_cli.shells import guess_shell, lines
from crane_core.errors import UsageError

VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
SHOW = f"{sys.executable} -c \"import os,sys;sys.stdout.buffer.write(os.environb[b'CRANE_X'])\""
# How each is started, and its own words for `&&`.
INSTALLED = {
    "bash": ["bash", "-c"],
    "zsh": ["zsh", "-c"],
    "fish": ["fish", "-c"],
    "powershell": ["pwsh", "-NoProfile", "-Command"],
}


@pytest.mark.parametrize(
    "shell", [s for s, command in INSTALLED.items() if shutil.which(command[0])]
)
@settings(max_examples=40)
@given(value=VALUES)
def test_a_shell_reads_back_what_was_written(shell: str, value: str) -> None:
    script = "\n".join([*lines(shell, {"CRANE_X": value}), SHOW])

    done = subprocess.run([*INSTALLED[shell], script], capture_output=True, check=True, timeout=60)

    assert done.stdout == value.encode()


def test_dash_reads_the_same_as_bash() -> None:
    value = "a'b\"c$HOME`id`\\n !x"
    script = "\n".join([*lines("bash", {"CRANE_X": value}), SHOW])

    assert subprocess.check_output(["sh", "-c", script]) == value.encode()


TABLE = [
    ("bash", "a b", "export X='a b'"),
    ("zsh", "it's", "export X='it'\"'\"'s'"),
    ("fish", "a'b\\c$d", "set -gx X 'a\\'b\\\\c$d'"),
    ("powershell", "a'b\u2019c$d`e", "$env:X = 'a''b\u2019\u2019c$d`e'"),
    ("cmd", "a&b^c%20d", 'set "X=a&b^c%20d"'),
    ("dotenv", "http://a:b@c:1", "X=http://a:b@c:1"),
    ("dotenv", "a b$c", "X='a b$c'"),
    ("dotenv", "it's $x", 'X="it\'s \\$x"'),
    ("bash", None, "unset X"),
    ("zsh", None, "unset X"),
    ("fish", None, "set -e X"),
    ("powershell", None, "Remove-Item -ErrorAction SilentlyContinue Env:X"),
    ("cmd", None, 'set "X="'),
    ("dotenv", None, "X="),
]


@pytest.mark.parametrize(("shell", "value", "line"), TABLE)
def test_the_rules_of_quoting(shell: str, value: str | None, line: str) -> None:
    assert lines(shell, {"X": value}) == [line]


def test_github_takes_values_of_many_lines() -> None:
    first, *body, last = "\n".join(lines("github", {"X": "a\nb"})).split("\n")

    assert body == ["a", "b"]
    assert first == f"X<<{last}"
    assert last != lines("github", {"X": ""})[-1]  # which nobody can foresee


def test_what_cmd_cannot_be_told_is_refused() -> None:
    with pytest.raises(UsageError, match="X"):
        lines("cmd", {"X": 'a"b'})


def test_the_shell_is_the_one_that_calls_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crane_cli.shells._parent", lambda: "fish")
    assert guess_shell({"SHELL": "/bin/zsh"}) == "fish"

    monkeypatch.setattr("crane_cli.shells._parent", lambda: "make")
    assert guess_shell({"SHELL": "/usr/bin/zsh"}) == "zsh"
    assert guess_shell({"SHELL": "/opt/strange"}) == "bash"
    assert guess_shell({}) == "bash"
