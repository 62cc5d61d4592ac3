"""uv opens a connection for nearly everything that it asks: none is refused, none is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from forward.rig import PRIVATE_HOST
from run.kit import LIMIT, Machine, until

from crane_devserver.behaviour import STATIC_INDEX
from crane_devserver.crane import CraneServer
from crane_devserver.repository import Repository
from crane_devserver.wheels import make_wheel

AT_ONCE = 160
MIRROR = "mirror.test"  # nobody has registered it
NAMES = [f"many-{number}" for number in range(180)]
MANY = {"UV_CONCURRENT_DOWNLOADS": "200", "UV_HTTP_TIMEOUT": "60", "UV_NO_CACHE": "1"}


class Gate:
    """A server that answers nobody until it is opened."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_open = False
        self.waiting = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self.waiting += 1
        try:
            if not self._is_open:
                await self._event.wait()
        finally:
            self.waiting -= 1
        await self._app(scope, receive, send)

    def open(self) -> None:
        """Let everybody in; perhaps nobody has come yet."""
        self._is_open = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._event.set)


def compile_all(ada: Machine, index_url: str, gate: Gate, at_once: Callable[[], int]) -> int:
    """Resolve all names; returns how many connections were open when the gate was opened."""
    wanted = ada.user.home / "requirements.in"
    wanted.write_text("\n".join(NAMES))
    command = ("uv", "pip", "compile", "--no-annotate", "--no-header", str(wanted))
    with ada.start(*command, "--default-index", index_url, **MANY) as process:
        most = until(lambda: process.poll() is not None or ((n := at_once()) >= AT_ONCE and n))
        gate.open()
        printed, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, printed + ada.log()
    found = [line for line in printed.splitlines() if line.endswith("==1.0")]
    assert sorted(found) == sorted(f"{name}==1.0" for name in NAMES)
    return int(most)


def test_an_index_is_asked_over_many_connections_at_once(ada: Machine) -> None:
    for name in NAMES:
        ada.site.add_private(name)
    ada.run("true")  # starts the agent
    agent = ada.agent()

    def connections() -> int:
        ours = psutil.Process(agent.pid).net_connections("tcp4")
        return sum(c.status == "ESTABLISHED" and c.laddr.port == agent.port for c in ours)

    gate = Gate(ada.site.crane)
    with ada.site.net.host(gate, PRIVATE_HOST):
        most = compile_all(ada, ada.site.index_url, gate, connections)
        ada.end_all()

    assert most >= AT_ONCE


def test_other_hosts_are_asked_over_many_tunnels_at_once(ada: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "mirror"
    for name in NAMES:
        make_wheel(folder / name, name, "1.0")
    mirror = CraneServer(
        [Repository("simple", folder, public=True)],
        keys=f"{ada.site.realm.issuer}/jwks",
        behaviour=STATIC_INDEX,
    )
    gate = Gate(mirror)
    with ada.site.net.host(gate, MIRROR):
        most = compile_all(ada, f"https://{MIRROR}/simple", gate, lambda: gate.waiting)
        ada.end_all()

    assert most >= AT_ONCE
