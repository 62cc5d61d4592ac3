"""The agent's own interface, below `/-/agent/`: JSON over HTTP, for whoever knows its secret.

Beside it stand the gateway's own pages: health for everybody, status and metrics with the secret.

The front has looked at Host, Origin and user before a request comes here.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from crane_core import __version__
from crane_core.agent.protocol import LEAVING, LONGEST, OLDEST, PROTOCOL, ROOT, error_to_json, proof
from crane_core.errors import AgentTrouble, CraneError
from crane_core.gateway.guard import HEALTH
from crane_core.gateway.views import Wish

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from crane_core.agent.life import Life
    from crane_core.agent.registry import Registry
    from crane_core.agent.runtime import Place, Runtime

    Answer = tuple[int, Any]
    OwnPages = Callable[[dict[str, Any], Any], Awaitable[None]]
    LoginsNeeded = Callable[[Sequence[str]], Awaitable[Mapping[str, str]]]

BODY_SECONDS = 10.0
JSON_HEADERS = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class Control:
    """An ASGI application: hello, views, logins, status and stop."""

    def __init__(
        self,
        runtime: Runtime,
        place: Place,
        registry: Registry,
        life: Life,
        logins_needed: LoginsNeeded,
        own_pages: OwnPages,
        ended: asyncio.Event,
    ) -> None:
        self._runtime = runtime
        self._place = place
        self._registry = registry
        self._life = life
        self._logins_needed = logins_needed
        self._own_pages = own_pages
        self._ended = ended
        self._authorization = f"Bearer {runtime.secret.reveal()}".encode()  # to compare with

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        path = scope["path"]
        if not path.startswith(ROOT) and (path == HEALTH or self._may(scope)):
            await self._own_pages(scope, send)
            return
        try:
            status, value = await self._answer(scope, receive)
        except CraneError as error:
            status, value = 409, error_to_json(error)
        except (ValueError, KeyError, TypeError, TimeoutError, AttributeError) as error:
            problem = AgentTrouble(f"the agent does not understand: {type(error).__name__}")
            status, value = 400, error_to_json(problem)
        content = json.dumps(value).encode()
        headers = [*JSON_HEADERS, (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: dict[str, Any], receive: Any) -> Answer:
        action = (scope["method"], scope["path"].removeprefix(ROOT))
        query = parse_qs(scope["query_string"].decode("ascii"))
        if action == ("GET", "hello"):
            return self._hello(query["nonce"][0])
        if not self._may(scope):
            return 403, error_to_json(AgentTrouble("the secret of this agent is missing or wrong"))
        method, name = action
        if method == "DELETE" and name.startswith("views/"):
            owner = int(query["owner"][0]) if "owner" in query else None
            self._registry.close(name.removeprefix("views/"), owner)
            return 200, {}
        if method == "GET" and name.startswith("views/"):
            return 200, self._registry.trail(name.removeprefix("views/")).to_json()
        return await self._act(action, receive)

    def _may(self, scope: dict[str, Any]) -> bool:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        # Two of them, or none, are no way in.
        return len(given) == 1 and hmac.compare_digest(given[0], self._authorization)

    async def _act(self, action: tuple[str, str], receive: Any) -> Answer:
        match action:
            case "GET", "status":
                return 200, self._status()
            case "POST", "stop":
                self._life.stop("asked to stop")
                self._ended.set()
                return 200, {}
            case "POST", "views":
                return self._open(await _body(receive))
            case "POST", "logins":
                body = await _body(receive)
                return 200, {"needed": dict(await self._logins_needed(body["names"]))}
        return 404, error_to_json(
            AgentTrouble(
                f"crane {__version__}, which runs as the agent, does not know that",
                hint="run: crane agent stop",
            )
        )

    def _hello(self, nonce: str) -> Answer:
        if not 16 <= len(nonce) <= 128:
            raise ValueError("no nonce")
        runtime = self._runtime
        proven = proof(runtime.secret, nonce, runtime.port, PROTOCOL, OLDEST)
        return 200, {
            "protocol": PROTOCOL, "oldest": OLDEST, "version": __version__, "proof": proven,
        }  # fmt: skip

    def _open(self, body: Mapping[str, Any]) -> Answer:
        if self._ended.is_set():
            return LEAVING, {}
        opened = self._registry.open(Wish.from_json(body["wish"]), body.get("join"))
        return 200, {
            "name": opened.name,
            "secret": opened.secret.reveal(),  # to its child, by way of who asked for it
            "authority": opened.authority,
            "origins": list(opened.origins),
            "bundle": str(self._place.bundle(opened.name)),
        }

    def _status(self) -> dict[str, Any]:
        self._registry.sweep()
        return {
            "protocol": PROTOCOL,
            "version": __version__,
            "pid": self._runtime.pid,
            "port": self._runtime.port,
            "started_at": self._life.started_at,
            "idle_since": None if self._registry.held else self._life.idle_since,
            "views": [
                {
                    "name": name,
                    "opened_at": held.opened_at,
                    "owners": sorted(held.owners),
                    "origins": list(held.opened.origins),
                }
                for name, held in self._registry.held.items()
            ],
        }


async def _body(receive: Any) -> Any:
    content = b""
    async with asyncio.timeout(BODY_SECONDS):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ValueError("gone")
            content += message.get("body", b"")
            if len(content) > LONGEST:
                raise ValueError("too long")
            if not message.get("more_body"):
                return json.loads(content)
