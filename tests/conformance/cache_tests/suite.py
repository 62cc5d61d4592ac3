"""The public suite http-cache-tests: fetched by npm, checked by hash, run through a gateway."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
from idp.node import _npm, ensure_node

VERSION = "0.4.5"
INTEGRITY = (
    "DjuwN9nUZXLTW+wav1LRESCZNVxl8SshwOy4z1pxuWbWt5/ay6sM9QQ1lebBaDO6P1IMBoK6mdf+PuVP/QNL8A=="
)
HERE = Path(__file__).parent
# The groups, by their files; `conditional` is two.
GROUPS = (
    "authorization", "partial", "headers", "conditional-etag", "conditional-lm", "vary",
    "update304", "status",
)  # fmt: skip
SECONDS = 60


@dataclass(frozen=True)
class Result:
    """How one test of the suite went; `withheld` are response fields that end at the gateway."""

    group: str
    id: str
    name: str
    kind: str
    problem: str
    withheld: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.problem


def fetched() -> Path:
    """Return the suite's folder. Its dependencies are not needed: we bring our own client."""
    folder = HERE / "node_modules" / f"http-cache-tests-{VERSION}"
    folder.parent.mkdir(exist_ok=True)
    with filelock.FileLock(folder.parent / ".lock", timeout=300):
        if not (folder / "complete").exists():
            command = [*_npm(), "pack", f"http-cache-tests@{VERSION}", "--silent"]
            subprocess.run(command, cwd=folder.parent, check=True, capture_output=True)
            archive = folder.parent / f"http-cache-tests-{VERSION}.tgz"
            digest = hashlib.sha512(archive.read_bytes()).digest()
            assert base64.b64encode(digest).decode() == INTEGRITY
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
            (folder / "complete").touch()
    return folder / "package"


def run(serve: Callable[[int], str], groups: tuple[str, ...] = GROUPS) -> list[Result]:
    """Run the groups; `serve` is told the origin's port and returns where the gateway has it."""
    command = [str(ensure_node()), str(HERE / "run.mjs"), str(fetched()), *groups]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            base = serve(int(process.stdout.readline()))
            output, _ = process.communicate(f"{base}\n", timeout=SECONDS)
        finally:
            process.kill()
    assert process.returncode == 0
    return [_result(entry) for entry in json.loads(output)]


def _result(entry: dict[str, Any]) -> Result:
    outcome = entry["result"]
    problem = "" if outcome is True else f"{outcome[0]}: {outcome[1]}"
    return Result(
        entry["group"], entry["id"], entry["name"], entry["kind"], problem,
        tuple(entry["withheld"]),
    )  # fmt: skip
