"""A `crane serve` process in front of a protected index in another process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SERVER = """\
import sys
from pathlib import Path
from crane_devserver import DevServer, Repository, serve_in_thread
server = DevServer(
    [Repository("bench", Path(sys.argv[1]))], {"ada": ("ada", ())},
)
with serve_in_thread(server) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True)
class Served:
    """What a benchmark talks to."""

    url: str
    pid: int


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Serve the distributions below `folder/PROJECT/` through crane, with ada logged in."""
    with tempfile.TemporaryDirectory() as home, _process(SERVER, str(folder)) as upstream:
        assert upstream.stdout is not None
        index_url = upstream.stdout.readline().strip() + "/bench"
        environ = {
            **os.environ,
            "CRANE_HOME": home,
            "BROWSER": f"{sys.executable} -m crane_devserver.sign_in ada ada %s",
        }
        environ.pop("CI", None)
        crane = [sys.executable, "-m", "crane_cli"]
        for step in (["index", "register", index_url, "--yes"], ["login"]):
            subprocess.run([*crane, *step], env=environ, check=True, capture_output=True)
        with subprocess.Popen(
            [*crane, "serve", "--port", "0"],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as gateway:
            assert gateway.stdout is not None
            url = gateway.stdout.readline().split()[-1]
            try:
                yield Served(url, gateway.pid)
            finally:
                gateway.terminate()


@contextmanager
def _process(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
