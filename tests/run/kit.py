"""Real agents of a user in a small internet, and what can be seen of them from outside."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forward.rig import Site
from support.processes import kill
from support.world import CRANE, User

from crane_core.agent.runtime import Place, Runtime, places
from crane_core.platform import Paths

LIMIT = 60.0  # seconds for anything, on a busy machine
SOON = 5.0  # seconds within which what is left of a command must be gone, and one for ourselves


@dataclass
class Machine:
    """A user, the small internet, and the agents that the user has."""

    user: User
    site: Site

    @property
    def paths(self) -> Paths:
        data = self.user.home / ".local" / "share" / "crane"
        return Paths(self.user.config_file.parent, data, self.user.home / ".cache" / "crane")

    def run(self, *command: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run `crane run -- …`."""
        return self.user.crane("run", "--", *command, **extra)

    @contextmanager
    def start(
        self, *arguments: str, program: str = CRANE, **extra: str
    ) -> Iterator[subprocess.Popen[str]]:
        """Start crane with a pipe at its input and output; it is killed at the end."""
        process = subprocess.Popen(
            [program, *arguments], env={**self.user.environ, **extra}, cwd=self.user.home,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def agents(self) -> list[Runtime]:
        """Return what the runtime files say, of agents that are there."""
        found = [place.read() for place in places(self.paths)]
        return [runtime for runtime in found if runtime and runtime.is_running]

    def agent(self) -> Runtime:
        """Return the only one."""
        (runtime,) = self.agents()
        return runtime

    def place(self) -> Place:
        """Return the place of the only one."""
        return Place.of(self.paths, self.agent().key)

    def bundles(self) -> list[Path]:
        """Return all files of certificates for children, of all agents."""
        return sorted(self.paths.runtime.glob("*/bundles/*.pem"))

    def status(self) -> list[dict[str, Any]]:
        """Return what `crane agent status --json` says."""
        done = self.user.crane("agent", "status", "--json", check=True)
        agents: list[dict[str, Any]] = json.loads(done.stdout)["data"]["agents"]
        return agents

    def log(self) -> str:
        """Return what the agents have logged."""
        return "".join(path.read_text() for path in sorted(self.paths.logs.glob("*")))

    def end_all(self) -> None:
        """Kill what is left of the agents."""
        for runtime in self.agents():
            kill(runtime.pid)


def until(condition: Callable[[], Any], seconds: float = LIMIT) -> Any:
    """Return the first true answer; fail if there is none in time."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end, f"not in {seconds} seconds"
        time.sleep(0.01)
    return answer


def says(done: subprocess.CompletedProcess[str]) -> str:
    """Return all that a command printed, for failures."""
    return f"{done.args} {done.returncode}\n{done.stdout}\n{done.stderr}"
