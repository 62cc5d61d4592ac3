"""Telling a process from another one of the same number."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

from crane_core import platform
from crane_core.platform import machine_mark, process_mark

WAYS: list[Callable[[int], str | None]] = [process_mark]
if shutil.which("ps"):
    WAYS.append(platform._listed_mark)  # as on macOS and the BSDs


@pytest.mark.parametrize("mark", WAYS)
def test_a_process_keeps_its_mark(mark: Callable[[int], str | None]) -> None:
    assert mark(os.getpid())
    assert mark(os.getpid()) == mark(os.getpid())
    assert mark(1)
    assert mark(4_000_000) is None


@pytest.mark.parametrize("mark", WAYS)
def test_a_process_that_nobody_has_asked_about_is_gone(mark: Callable[[int], str | None]) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert mark(process.pid)
        assert process.stdin is not None
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
        assert mark(process.pid) is None
    assert mark(process.pid) is None


def test_a_name_cannot_fool_us() -> None:
    """A program's name stands in brackets in /proc/PID/stat, and may hold any character."""
    script = (
        "import pathlib; pathlib.Path('/proc/self/comm').write_text(') Z 1 2'); print(); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        before = process_mark(process.pid)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        assert process_mark(process.pid) == before is not None
        process.stdin.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_two_processes_that_started_one_after_the_other_differ() -> None:
    with subprocess.Popen(["sleep", "60"]) as one:
        mark = process_mark(one.pid)
        one.kill()
    with subprocess.Popen(["sleep", "60"]) as other:
        assert process_mark(os.getpid()) != mark
        assert process_mark(other.pid) is not None
        other.kill()


def test_a_machine_has_one_mark() -> None:
    assert machine_mark() == machine_mark() != ""
