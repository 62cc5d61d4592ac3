"""Load on a server: wrk, which no server here can keep up with, and what it costs the server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from benchmarks.servers import Server
from benchmarks.tools import program

SCRIPT = Path(__file__).with_name("wrk.lua")
# What pip sends; crane answers in the form that is asked for.
ACCEPT = (
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, "
    "text/html; q=0.01"
)

TRIES = 3  # where a busy machine lets a server answer nothing at all


class LoadFailed(Exception):
    """The server answered with errors, or not at all."""


@dataclass(frozen=True)
class Load:
    """What one run gave. Times are in seconds."""

    requests: int
    per_second: float
    p50: float
    p99: float
    cpu: float  # of the server, for each request


def load(server: Server, projects: Sequence[str], connections: int, seconds: float) -> Load:
    """Ask for the projects' pages in turn, each connection one request after the other.

    Raises `LoadFailed` if one is answered with an error, or none at all.
    """
    paths = [urlsplit(urljoin(server.index_url, f"{project}/")).path for project in projects]
    for _ in range(TRIES):
        before = server.cpu_seconds()
        result = _wrk(server.index_url, paths, connections, seconds)
        cpu = server.cpu_seconds() - before
        if result["errors"]:
            raise LoadFailed(f"{server.name}: {result['errors']} errors in {result['requests']}")
        if result["requests"]:
            return Load(
                result["requests"],
                result["requests"] / result["microseconds"] * 1e6,
                result["p50"] / 1e6,
                result["p99"] / 1e6,
                cpu / result["requests"],
            )
    raise LoadFailed(f"{server.name} answered nothing within {seconds} s")


def _wrk(url: str, paths: Sequence[str], connections: int, seconds: float) -> dict[str, int]:
    wrk = program("wrk")
    done = subprocess.run(
        [
            wrk.path, "--threads", "1", "--connections", str(connections),
            "--duration", f"{max(1, round(seconds))}s", "--timeout", "30s",
            "--header", f"Accept: {ACCEPT}", "--script", SCRIPT, url, "--", *paths,
        ],
        check=False,
        env={**os.environ, **wrk.environ},
        capture_output=True,
        text=True,
        timeout=seconds + 120,
    )  # fmt: skip
    if done.returncode:
        raise LoadFailed(done.stderr or done.stdout)
    result: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return result
