"""A `crane serve` process of a user's."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from support.world import CRANE, SECONDS, User


@dataclass(frozen=True)
class Served:
    """The address that crane printed, and its process."""

    url: str
    process: subprocess.Popen[str]


@contextmanager
def serving(user: User, *arguments: str, **extra: str) -> Iterator[Served]:
    """Serve the user's indexes on a free port until the block ends."""
    with (
        (user.home / "serve.log").open("a") as log,
        subprocess.Popen(
            [CRANE, "serve", "--port", "0", *arguments],
            env={**user.environ, **extra},
            cwd=user.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Serving"), (user.home / "serve.log").read_text()
        try:
            yield Served(line.split()[-1], process)
        finally:
            process.terminate()
            process.wait(SECONDS)
