"""What a killed run of the index route leaves on disk is removed by the next one.

What a live one uses is not. The forward route leaves nothing but a view, which the agent closes.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
from support.pips import INDEX_ROUTE, leftovers
from support.world import CRANE, SECONDS, User

from crane_cli.pip_index_route import _machine

WAITS = 'import sys; print("here", flush=True); sys.stdin.read()\ncode = '


@contextmanager
def running(user: User, environment: Path) -> Iterator[subprocess.Popen[str]]:
    """Run an install whose pip has started, and waits for the end of its standard input."""
    with subprocess.Popen(
        [CRANE, "pip", *INDEX_ROUTE, "--python", str(environment), "install", "x"],
        env=user.environ, cwd=user.home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "here\n"
        below = psutil.Process(process.pid).children(recursive=True)
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(SECONDS)
            assert not psutil.wait_procs(below, timeout=SECONDS)[1]


@pytest.fixture
def waiting(telling: Callable) -> Path:
    """Give an environment whose pip waits."""
    environment: Path = telling().environment
    python = environment / "bin" / "python"
    python.write_text(python.read_text().replace("code = ", WAITS))
    return environment


def test_the_next_run_sweeps_after_one_that_was_killed(
    ready: User, waiting: Path, telling: Callable
) -> None:
    with running(ready, waiting) as process:
        process.kill()
        process.wait(SECONDS)
    (left,) = leftovers(ready)
    assert (left / "netrc").exists()

    ready.crane("pip", *INDEX_ROUTE, "--python", str(telling(3).environment), "install", "x")

    assert not leftovers(ready)


def test_runs_side_by_side_leave_each_other_alone(
    ready: User, waiting: Path, telling: Callable
) -> None:
    with ExitStack() as stack:
        process = stack.enter_context(running(ready, waiting))
        (mine,) = leftovers(ready)
        assert mine.name.startswith(f"{process.pid}-")

        ready.crane("pip", *INDEX_ROUTE, "--python", str(telling(3).environment), "install", "x")

        assert leftovers(ready) == [mine]
        assert (mine / "netrc").exists()
    assert process.returncode == 0
    assert not leftovers(ready)


def test_what_is_no_folder_of_a_run_is_left_alone(ready: User, telling: Callable) -> None:
    folder = ready.sessions.parent / "run"
    folder.mkdir(mode=0o700)
    (folder / "notes").mkdir()
    here = _machine()
    (folder / f"{2**22 + 1}-{here}-gone").mkdir()
    (folder / f"{2**22 + 1}-{'0' * len(here)}-elsewhere").mkdir()

    ready.crane("pip", *INDEX_ROUTE, "--python", str(telling(3).environment), "install", "x")

    left = {path.name for path in leftovers(ready)}
    assert left == {"notes", f"{2**22 + 1}-{'0' * len(here)}-elsewhere"}


def test_an_error_before_pip_starts_leaves_nothing(ready: User, telling: Callable) -> None:
    file = ready.home / "requirements.txt"
    file.write_text("-i https://elsewhere.example.com/simple\n")

    done = ready.crane(
        "pip", *INDEX_ROUTE, "--python", str(telling().environment), "install", "-r", str(file)
    )

    assert done.returncode == 5
    assert not leftovers(ready)
