"""An agent without its gateway, in a thread of the test, with a made-up clock and processes."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crane_core.agent.client import Agent, connect
from crane_core.agent.control import Control
from crane_core.agent.life import Life
from crane_core.agent.registry import Registry
from crane_core.agent.runtime import Place, Runtime
from crane_core.config.model import Configuration, Index
from crane_core.gateway.views import Opened, Wish
from crane_core.platform import machine_mark, process_mark
from crane_core.secret import Secret
from crane_devserver.running import serve_in_thread

SECRET = Secret("the agent's own secret")


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class FakeViews:
    """Counts what is opened and closed."""

    def __init__(self) -> None:
        self.opened: list[Wish] = []
        self.closed: list[str] = []

    def open(self, wish: Wish) -> Opened:
        self.opened.append(wish)
        name = f"view{len(self.opened)}"
        return Opened(name, Secret(f"secret of {name}"), "PEM", ("https://crane.example.com",))

    def close(self, name: str) -> None:
        self.closed.append(name)


@dataclass
class Bench:
    """The parts of an agent, and what its surroundings are made to say."""

    place: Place
    key: str = "key"
    clock: Clock = field(default_factory=Clock)
    views: FakeViews = field(default_factory=FakeViews)
    processes: dict[int, str] = field(default_factory=lambda: {1: "a", 2: "b", 3: "c"})
    is_current: bool = True
    last_request: float = 0.0
    needed: dict[str, str] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        names = ("one", "two")
        indexes = {
            n: Index(n, f"https://{n}.example.com", "https://sso.example.com") for n in names
        }
        self.configuration = Configuration(indexes)
        self.registry = Registry(
            self.views, self.configuration, self.place, self.clock, self.processes.get
        )
        self.life = Life(
            self.clock, self.registry, lambda: self.last_request, lambda: self.is_current, 900.0
        )

    async def logins_needed(self, names: Sequence[str]) -> Mapping[str, str]:
        return {name: self.needed[name] for name in names if name in self.needed}

    async def own_page(self, scope: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"own page"})

    @contextmanager
    def serving(self, wrap: Callable[[Any], Any] = lambda app: app) -> Iterator[Runtime]:
        """Serve the control interface; the runtime file says so, with this process as the agent."""
        relay = Relay()
        with serve_in_thread(relay) as url:
            port = int(url.rpartition(":")[2])
            pid = os.getpid()
            mark = process_mark(pid) or ""
            runtime = Runtime(self.key, machine_mark(), pid, mark, port, SECRET, "0.1.0")
            relay.app = wrap(
                Control(
                    runtime,
                    self.place,
                    self.registry,
                    self.life,
                    self.logins_needed,
                    self.own_page,
                    self.ended,
                )
            )
            self.place.prepare(time.time())
            self.place.write(runtime)
            yield runtime

    @contextmanager
    def connected(self) -> Iterator[Agent]:
        with self.serving() as runtime, connect(runtime) as agent:
            yield agent


class Relay:
    """An application that is known only once its port is."""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class Stranger:
    """Somebody else's server: keeps what it is sent, and answers what it is told to."""

    def __init__(self, answer: bytes) -> None:
        self.heard = b""
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    while data := connection.recv(65536):
                        self.heard += data
                        connection.sendall(self._answer)
                except OSError:
                    continue

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def new_bench(tmp_path: Path) -> Bench:
    return Bench(Place(tmp_path / "agents" / "key"))
