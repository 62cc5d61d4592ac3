"""The id of a request: in its events, and in the errors that its tool is shown."""

from __future__ import annotations

import random
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crane_core.gateway.responses import Send

FIELD = b"x-request-id"
_current: ContextVar[str] = ContextVar("crane_request_id", default="")


def new_id() -> str:
    """Return an id: ten digits, enough to find one request in a log.

    It opens nothing, so it need not be hard to guess; it costs a tenth of one that is.
    """
    return f"{random.getrandbits(40):010x}"


def begin() -> str:
    """Give the request that this task answers an id of its own.

    Tasks that it starts have the same one. What the tool sent as an id counts for nothing: it could
    be another request's, or hold what stands in no log.
    """
    made = new_id()
    _current.set(made)
    return made


def naming(send: Send) -> Send:
    """Begin a request, and return what sends its answer with the id as `X-Request-Id`.

    An answer that is handed on keeps the id that its own server has given it.
    """
    field = (FIELD, begin().encode())

    async def send_named(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = message["headers"]
            if not any(name.lower() == FIELD for name, _ in headers):
                message = {**message, "headers": [*headers, field]}
        await send(message)

    return send_named


def current() -> str:
    """Return the id of the request that is being answered, empty outside of any."""
    return _current.get()


def with_id(text: str) -> str:
    """Return an error's text with the id of its request."""
    made = current()
    return f"{text} (request {made})" if made else text
