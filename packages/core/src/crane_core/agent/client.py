"""Speaking to an agent: a little HTTP over one connection.

`http.client` alone would take longer to import than all that happens here.
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from crane_core.agent.protocol import (
    LEAVING,
    LONGEST,
    PROTOCOL,
    ROOT,
    error_from_json,
    proof,
    require_common,
)
from crane_core.gateway.trail import Trail
from crane_core.gateway.views import Opened
from crane_core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crane_core.agent.runtime import Runtime
    from crane_core.gateway.views import Wish

HELLO_SECONDS = 5.0  # a stranger may have taken the port, and say nothing
ANSWER_SECONDS = 30.0


class AgentLost(Exception):
    """It is not there, has gone, or is somebody else."""


class Line:
    """One connection. What it cannot do, or not in time, is `AgentLost`."""

    def __init__(self, port: int, seconds: float) -> None:
        self.port = port
        self._secret: Secret | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # Not `create_connection`, which looks the address up, and imports IDNA for that.
            self._socket.settimeout(seconds)
            self._socket.connect(("127.0.0.1", port))
        except OSError as error:
            self._socket.close()
            raise AgentLost(f"nobody listens on port {port}: {error}") from error
        self._rest = b""

    def trust(self, secret: Secret) -> None:
        """Send the secret from now on: the other side has proven that it knows it."""
        self._secret = secret

    def ask(
        self, method: str, path: str, body: Any = None, *, seconds: float = ANSWER_SECONDS
    ) -> tuple[int, Any]:
        """Send a request and return the status and the JSON of the answer."""
        content = b"" if body is None else json.dumps(body).encode()
        lines = [
            f"{method} {ROOT}{path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            "Content-Type: application/json",
            f"Content-Length: {len(content)}",
        ]
        if self._secret is not None:
            lines.append(f"Authorization: Bearer {self._secret.reveal()}")
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall("\r\n".join([*lines, "", ""]).encode("ascii") + content)
            return self._answer(time.monotonic() + seconds)
        except (OSError, ValueError, LookupError) as error:
            raise AgentLost(f"no answer on port {self.port}: {error}") from error

    def _answer(self, until: float) -> tuple[int, Any]:
        while b"\r\n\r\n" not in self._rest:
            self._receive(until)
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, *_ = first.split(" ", 2)
        if not version.startswith("HTTP/1."):
            raise ValueError("not HTTP")
        fields = {
            name.strip().lower(): value for name, _, value in (s.partition(":") for s in lines)
        }
        length = int(fields["content-length"])
        if not 0 <= length <= LONGEST:
            raise ValueError("an answer that is too long")
        while len(self._rest) < length:
            self._receive(until)
        content, self._rest = self._rest[:length], self._rest[length:]
        return int(status), json.loads(content) if content else None

    def _receive(self, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("it took too long")
        self._socket.settimeout(left)
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionError("it hung up")
        self._rest += data
        if len(self._rest) > 2 * LONGEST:
            raise ValueError("an answer that is too long")

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


@dataclass(frozen=True, slots=True)
class View:
    """An open view: what its child needs, and the file for what it is to trust."""

    opened: Opened
    bundle: str
    port: int


class Agent:
    """A running agent that has proven to be the one of this runtime file."""

    def __init__(self, runtime: Runtime, line: Line) -> None:
        self.runtime = runtime
        self._line = line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. The agent's views stay as they are."""
        self._line.close()

    def open_view(self, wish: Wish, *, join: str | None = None) -> View:
        """Open a view; `join` names one to share if it is open still and was opened for the same.

        Raises a `CraneError`, or `AgentLost`.
        """
        body = {"protocol": PROTOCOL, "wish": wish.to_json(), "join": join}
        value = self._ask("POST", "views", body)
        opened = Opened(
            name=value["name"],
            secret=Secret(value["secret"]),
            authority=value["authority"],
            origins=tuple(value["origins"]),
        )
        return View(opened, value["bundle"], self.runtime.port)

    def close_view(self, name: str, owner: int | None = None) -> None:
        """Close a view, or an owner's share in it; one that is closed already is no error."""
        query = "" if owner is None else f"?owner={owner}"
        self._ask("DELETE", f"views/{name}{query}")

    def trail(self, name: str) -> Trail:
        """Return what of a view's tool has come to it."""
        return Trail.from_json(self._ask("GET", f"views/{name}"))

    def logins_needed(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return the indexes of these at which somebody has to log in, each with the reason."""
        value = self._ask("POST", "logins", {"protocol": PROTOCOL, "names": list(names)})
        needed: Mapping[str, str] = value["needed"]
        return needed

    def status(self) -> dict[str, Any]:
        """Return what the agent says of itself."""
        value: dict[str, Any] = self._ask("GET", "status")
        return value

    def stop(self) -> None:
        """Let it close its views and end."""
        self._ask("POST", "stop")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        status, value = self._line.ask(method, path, body)
        if status == LEAVING:
            raise AgentLost("the agent is about to leave")
        if status >= 400:
            raise error_from_json(value)
        return value


def connect(runtime: Runtime, *, speak: bool = True) -> Agent:
    """Return the agent of a runtime file, after it has proven that it knows its secret.

    Its port may be somebody else's by now: a stranger learns nothing from what is sent before.
    Without `speak` an agent is right that is too old or too new for more than to be stopped.
    Raises `AgentLost`, or `AgentTrouble`.
    """
    line = Line(runtime.port, HELLO_SECONDS)
    try:
        nonce = os.urandom(16).hex()
        value = _proven(
            line.ask("GET", f"hello?nonce={nonce}", seconds=HELLO_SECONDS), runtime, nonce
        )
        if speak:
            require_common(value["protocol"], value["oldest"], str(value.get("version")))
    except BaseException:
        line.close()
        raise
    line.trust(runtime.secret)
    return Agent(runtime, line)


def _proven(answer: tuple[int, Any], runtime: Runtime, nonce: str) -> dict[str, Any]:
    status, value = answer
    if status == 200 and isinstance(value, dict):
        protocol, oldest = value.get("protocol"), value.get("oldest")
        if isinstance(protocol, int) and isinstance(oldest, int):
            wanted = proof(runtime.secret, nonce, runtime.port, protocol, oldest)
            if Secret(wanted) == Secret(str(value.get("proof"))):
                return value
    raise AgentLost(f"no agent of ours listens on port {runtime.port}")
