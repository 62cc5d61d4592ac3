"""Small pieces every ASGI application here is made of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

USER_KEY = "crane_devserver.user"
"""Where an application leaves the accepted user's name in the scope, for the request log."""

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answer:
    """A whole response. Without ``sized`` the body goes out chunked, as Crane's do."""

    status: int
    body: bytes = b""
    headers: Headers = ()
    sized: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        headers = self.headers
        counted = any(name.lower() == "content-length" for name, _ in headers)
        if (self.sized or not self.body) and not counted and self.status not in (204, 304):
            headers = (*headers, ("content-length", str(len(self.body))))
        await send(response_start(self.status, headers))
        await send({"type": "http.response.body", "body": self.body})


def html_answer(status: int, page: str, headers: Headers = ()) -> Answer:
    """Make an HTML response."""
    kind = ("content-type", "text/html;charset=UTF-8")
    return Answer(status, page.encode(), (kind, *headers))


def json_answer(status: int, data: Any, headers: Headers = ()) -> Answer:
    """Make a JSON response."""
    return Answer(
        status, json.dumps(data).encode(), (("content-type", "application/json"), *headers)
    )


def redirect(location: str) -> Answer:
    """Make a 302 to ``location``."""
    return Answer(302, headers=(("location", location),))


def response_start(status: int, headers: Headers) -> Message:
    """Make the ASGI message that opens a response."""
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return {"type": "http.response.start", "status": status, "headers": raw}


def raw_path(scope: Scope) -> str:
    """Return the path as the client sent it, percent escapes and all."""
    raw: bytes | None = scope.get("raw_path")
    return raw.decode("latin-1").partition("?")[0] if raw else str(scope["path"])


async def run_lifespan(receive: Receive, send: Send) -> None:
    """Accept start-up and shutdown; nothing here needs either."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


__all__ = [
    "USER_KEY",
    "ASGIApp",
    "Answer",
    "Headers",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "html_answer",
    "json_answer",
    "raw_path",
    "redirect",
    "response_start",
    "run_lifespan",
]
