"""Fixtures of `crane prefetch`: a machine with two private projects, and the tools that lock."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pdm.conftest import pdms
from poetry.conftest import poetries
from run.conftest import ada, machine, make_environment, net, site
from run.kit import Machine, says
from support.pips import register
from support.tooling import UV

from crane_devserver.faults import Fault

__all__ = [
    "ada", "machine", "make_environment", "net", "pdms", "poetries", "site",
]  # fmt: skip


@dataclass
class Office:
    """Ada's machine, and what the index had before it went down."""

    machine: Machine
    lib: Path
    dep: Path

    def prefetch(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Run `crane prefetch --json` and return its data."""
        done = self.machine.user.crane("prefetch", "--json", *arguments)
        assert done.returncode == code, says(done) + self.machine.log()
        answer = json.loads(done.stdout)
        data: dict[str, Any] = answer["data"] or {"errors": answer["errors"]}
        return data

    def go_offline(self) -> None:
        """Let the index and the provider fail, and nobody be asked from now on."""
        self.machine.site.crane.faults.append(Fault("/", status=503))
        self.machine.site.realm.respond(503, "down", times=None)
        self.machine.site.crane.requests.clear()
        self.machine.user.variables["CRANE_OFFLINE"] = "1"

    def go_online(self) -> None:
        """Let the index answer again."""
        assert self.asked == []
        self.machine.site.crane.faults.clear()
        del self.machine.user.variables["CRANE_OFFLINE"]

    @property
    def asked(self) -> list[str]:
        """What the index has been asked since."""
        return [request.path for request in self.machine.site.crane.requests]

    def write(self, name: str, text: str) -> str:
        """Write a file into ada's home."""
        path = self.machine.user.home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)


def sha256(path: Path) -> str:
    """Return what a file hashes to."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def office(ada: Machine) -> Iterator[Office]:
    """Give ada's machine; the index's pages may be kept, as its user says."""
    site = ada.site
    lib = site.add_private("firm-lib", requires=["firm-dep"], size=40_000)
    dep = site.add_private("firm-dep", "2.0", size=2_000)
    register(ada.user, site.index(keep_pages=True))
    ada.user.variables["PATH"] = f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}"
    yield Office(ada, lib, dep)
    ada.end_all()
