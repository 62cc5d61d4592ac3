"""Several crane processes of one user at once."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.world import CRANE, SECONDS, User

_numbers = itertools.count()


@dataclass
class Crane:
    """A running crane process, whose output goes to files that can be read meanwhile."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return self.out.read_text()

    @property
    def stderr(self) -> str:
        """What it has said so far."""
        return self.err.read_text()

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        return self.process.wait(SECONDS)


@contextmanager
def cranes(user: User, count: int, *arguments: str, **extra: str) -> Iterator[list[Crane]]:
    """Start that many processes of one command; they are killed at the end if still there."""
    started = [_start(user, arguments, extra) for _ in range(count)]
    try:
        yield started
    finally:
        for crane in started:
            crane.process.kill()
            crane.process.wait()


def _start(user: User, arguments: tuple[str, ...], extra: dict[str, str]) -> Crane:
    number = next(_numbers)
    out, err = user.home / f"out-{number}", user.home / f"err-{number}"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [CRANE, *arguments],
            env={**user.environ, **extra},
            cwd=user.home,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    return Crane(process, out, err)


def until_said(running: list[Crane], text: str, count: int, seconds: float = 30.0) -> None:
    """Wait until so many of the processes have said a text."""
    deadline = time.monotonic() + seconds
    while sum(text in crane.stderr for crane in running) < count:
        assert time.monotonic() < deadline, [crane.stderr for crane in running]
        time.sleep(0.02)
