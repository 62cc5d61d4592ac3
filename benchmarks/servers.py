"""A server process being measured: started on a free port, awaited, read, ended."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.tools import CACHE

PATIENCE = 60.0
LOGS = CACHE / "logs"


@dataclass(frozen=True)
class Server:
    """A running server, with the index URL that a tool would be given, ending in `/`."""

    name: str
    index_url: str
    process: psutil.Process

    def tree(self) -> list[psutil.Process]:
        """Return its process and those that it started."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Return the processor time that it has used so far."""
        times = [process.cpu_times() for process in self.tree()]
        return sum(t.user + t.system for t in times)

    def memory(self) -> int:
        """Return the bytes that it holds in memory now."""
        return sum(process.memory_info().rss for process in self.tree())


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    name: str,
    command: Sequence[str | Path],
    index_url: str,
    *,
    ready: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run a server until the block ends; it is ready when it answers at `ready` at all.

    What it prints goes to a file, as under a service manager.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name.replace(' ', '-').replace('/', '-')}.log"
    with log.open("wb") as output:
        process = psutil.Popen(
            [str(part) for part in command],
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            _await(ready or index_url, process, log)
            yield Server(name, index_url, psutil.Process(process.pid))
        finally:
            _end(process)


def _await(url: str, process: psutil.Popen, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{log.stem} does not answer at {url}:\n{tail}")
        time.sleep(0.02)


def answers(url: str) -> bool:
    """Whether a server answers there, whatever it says."""
    try:
        with urllib.request.urlopen(url, timeout=10):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False


def _end(process: psutil.Popen) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        tree = [process, *process.children(recursive=True)]
        process.terminate()
        _, alive = psutil.wait_procs(tree, timeout=5)
        for one in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    process.wait()
