"""`crane serve` as its user starts it: a process with its own standard output and error."""

from __future__ import annotations

import queue
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import httpx2
from gateway.harness import Home, new_home
from support.world import CRANE, User

from crane_core.config.store import ConfigStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from idp.oidc import Realm

    from crane_core.config.model import Index

SECONDS = 20.0


@dataclass
class Lines:
    """What a process prints, line by line, as it comes."""

    stream: IO[str]
    seen: list[str] = field(default_factory=list)
    _waiting: queue.Queue[str | None] = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self) -> None:
        for line in self.stream:
            self._waiting.put(line)
        self._waiting.put(None)

    def wait_for(self, text: str) -> str:
        """Return the next line with this text in it."""
        deadline = time.monotonic() + SECONDS
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._waiting.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                break
            self.seen.append(line)
            if text in line:
                return line.strip()
        raise AssertionError(f"{text!r} did not come; what came:\n{''.join(self.seen)}")

    def rest(self) -> str:
        """Return all that came, once the process has closed its end."""
        while (line := self._waiting.get(timeout=SECONDS)) is not None:
            self.seen.append(line)
        return "".join(self.seen)


@dataclass
class Serve:
    """A running `crane serve`."""

    process: subprocess.Popen[str]
    out: Lines
    err: Lines
    address: str

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])

    def get(self, path: str, **options: Any) -> httpx2.Response:
        """GET a path at the printed address, with the credentials that it carries."""
        return httpx2.get(self.address + path, trust_env=False, timeout=SECONDS, **options)

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; return the exit code and how many seconds the end took."""
        started = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        return code, time.monotonic() - started


@dataclass
class Operator:
    """A user whose indexes and login are in place, and who starts `crane serve`."""

    user: User
    home: Home

    def register(self, *indexes: Index) -> None:
        """Write these indexes to the user's configuration."""
        store = ConfigStore(self.home.paths.config_file)
        for index in indexes:
            store.save(index)

    @contextmanager
    def serve(self, *arguments: str, **extra: str) -> Iterator[Serve]:
        """Run `crane serve` on a free port until the block ends."""
        with subprocess.Popen(
            [CRANE, "serve", "--port", "0", *arguments],
            env={**self.user.environ, **extra},
            cwd=self.user.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            assert process.stderr
            out, err = Lines(process.stdout), Lines(process.stderr)
            try:
                line = out.wait_for("Serving index proxy on: ")
                yield Serve(process, out, err, line.rpartition(" ")[2])
            except AssertionError as error:
                process.kill()
                raise AssertionError(f"{error}\nstderr: {err.rest()}") from error
            finally:
                if process.poll() is None:
                    process.terminate()
                try:
                    process.wait(SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()


def new_operator(folder: Path, realm: Realm) -> Operator:
    """Return somebody with empty folders of their own."""
    user = User(folder / "person", realm.issuer)
    user.home.mkdir(parents=True)
    user.variables["CRANE_HOME"] = str(folder / "crane")
    return Operator(user, new_home(folder / "crane", realm))
