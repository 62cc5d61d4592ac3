"""`crane serve` before the measured index, with a ready token in place of an identity provider."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.servers import Server, free_port, running
from benchmarks.upstream import TOKEN

# Another environment's crane can be measured in place of this one's, to compare two states.
CRANE = (os.environ.get("BENCH_PYTHON", sys.executable), "-m", "crane_cli")
NOWHERE = "http://127.0.0.1:9"  # the token is ready: the provider is never asked


def environment(home: Path) -> dict[str, str]:
    """Return the variables of a crane that touches nothing outside `home`."""
    return {
        "HOME": str(home),
        "CRANE_HOME": str(home),
        "CRANE_TOKEN_BENCH": TOKEN,
        "CRANE_VAULT": "file",
        "CRANE_DETECTORS_OFF": "all",
    }


def register(home: Path, index_url: str) -> None:
    """Register the index under the name `bench`."""
    endpoints = ["crane-pip", f"{NOWHERE}/token", f"{NOWHERE}/device"]
    options = ["--name", "bench", "--fallback", "none", "--yes"]
    done = subprocess.run(
        [*CRANE, "index", "register", index_url, *endpoints, *options],
        check=False,
        env=environment(home),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)


def serve_command(port: int) -> list[str]:
    """Return the command that serves the registered index on a port."""
    return [*CRANE, "serve", "--port", str(port)]


@contextmanager
def crane(
    index_url: str, name: str = "crane", environ: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Serve an index through a crane without any history, until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        register(home, index_url)
        port = free_port()
        # It is up, and has been asked for something before: `start` measures what that takes.
        with running(
            name,
            serve_command(port),
            f"http://127.0.0.1:{port}/bench/simple/",
            ready=f"http://127.0.0.1:{port}/bench/simple/there-is-no-such-project/",
            environ={**environment(home), **(environ or {})},
        ) as server:
            yield server
