"""The gateway as an ASGI application at an address of its own: guard, route, answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crane_core.gateway.answers import Answers, Request
from crane_core.gateway.connection import EXTENSION
from crane_core.gateway.events import Event
from crane_core.gateway.file_answers import StreamBroken, filename_of
from crane_core.gateway.finished import FinishedAnswers
from crane_core.gateway.own_pages import PREFIX, send_own_page
from crane_core.gateway.passthrough import Body, refuse
from crane_core.gateway.places import Elsewhere, place_below
from crane_core.gateway.request_ids import naming, with_id
from crane_core.gateway.responses import header, is_pip, send_redirect, to_ascii
from crane_core.gateway.uploads.places import is_form
from crane_core.urls import origin_of, within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.config.model import Index
    from crane_core.gateway.ahead import Ahead
    from crane_core.gateway.answers import Tools
    from crane_core.gateway.guard import Guard, Refusal
    from crane_core.gateway.passthrough import Receive
    from crane_core.gateway.responses import Send
    from crane_core.gateway.status import Status
    from crane_core.gateway.uploads.publishing import Publishing
    from crane_core.index.source import PrivateFirst, Source


@dataclass(frozen=True, slots=True)
class Parts:
    """What a gateway is made of, in the order in which a request meets them.

    `private` and `beside` are the sources by name; `indexes` are all that have a login.
    """

    guard: Guard
    private: Mapping[str, PrivateFirst]
    beside: Mapping[str, Source]
    indexes: Mapping[str, Index]
    ahead: Ahead
    tools: Tools
    publishing: Publishing
    status: Status


class Gateway:
    """Serves registered indexes on `/NAME/simple/`, and a single one on `/simple/` and `/` too."""

    def __init__(self, parts: Parts) -> None:
        self._private = parts.private
        self._sources: dict[str, Source] = {**parts.private, **parts.beside}
        self._indexes = parts.indexes
        self._guard = parts.guard
        self._answers = Answers(parts.tools, parts.ahead)
        self._observer = parts.tools.observer
        self._status = parts.status
        self._publishing = parts.publishing
        self._single = next(iter(parts.private)) if len(self._sources) == 1 else None
        self.finished = FinishedAnswers()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        send = naming(send)
        connection = scope["extensions"][EXTENSION]
        # The gateway's address as the tool knows it; the guard checks the Host.
        base_url = f"http://{header(scope, b'host').decode('latin-1')}"
        request = Request(scope, send, connection, base_url, self.finished, self._observer)
        if refusal := self._guard.check(scope, connection.peer_uid):
            await self._refuse(request, receive, refusal)
            return
        connection.trusted = True
        try:
            if scope["method"] == "POST":
                await self._upload(request, receive)
            else:
                await self._route(request)
        except StreamBroken as error:
            self._observer(Event("file", filename_of(scope["path"]), problem=str(error)))
            connection.abort()

    async def _refuse(self, request: Request, receive: Receive, refusal: Refusal) -> None:
        self._observer(Event("page", request.scope["path"], problem=refusal.reason))
        text = f"crane: {refusal.reason}"
        if refusal.status == 403 and is_pip(request.scope) and "/files/" not in request.path:
            # A page that pip passes over in silence sends it to its next index.
            request.connection.fail_page(with_id(to_ascii(text)))
        else:
            await refuse(request, Body(request.scope, receive), refusal.status, text)

    async def _upload(self, request: Request, receive: Receive) -> None:
        head = request.path.strip("/").removesuffix("legacy").rstrip("/")
        index = self._indexes.get(head or self._single or "")
        if index is None or not is_form(request.scope):
            names = ", ".join(f"/{name}/legacy/" for name in self._indexes)
            reason = f"an upload is a form, and goes to {names}"
            self._observer(Event("upload", request.path, problem=reason))
            await refuse(request, Body(request.scope, receive), 404, f"crane: {reason}")
        else:
            await self._publishing.take(request, receive, index)

    async def _route(self, request: Request) -> None:
        path = request.path
        if path.startswith(PREFIX):
            await send_own_page(request, self._status)
            return
        head, _, rest = path[1:].partition("/")
        if head in self._indexes and rest.startswith("files/"):
            await self._file(request, self._indexes[head])
        elif head in self._sources and (rest == "simple" or rest.startswith("simple/")):
            await self._simple(request, head, rest.removeprefix("simple"), f"/{head}/simple")
        elif self._single and (path == "/simple" or path.startswith("/simple/")):
            await self._simple(request, self._single, path.removeprefix("/simple"), "/simple")
        elif self._single and path.count("/") <= 2:
            await self._simple(request, self._single, path, "")
        else:
            names = ", ".join(f"/{name}/simple/" for name in self._sources)
            await request.refuse(404, f"nothing here; the indexes are at {names}")

    async def _simple(self, request: Request, name: str, path: str, prefix: str) -> None:
        place = place_below(path, prefix)
        if isinstance(place, Elsewhere):
            await send_redirect(request.send, request.scope, place.location)
        elif place is None:
            # PEP 508 §Names; anything else might mean another page to the index than to us.
            await request.refuse(404, "that is no project name")
        elif not place:
            private = self._private[name].private if name in self._private else None
            await self._answers.root(request, name, private)
        elif await self._answers.project(request, name, place) is not None:
            text = f"crane: {place} is not at {name}, nor where it points"
            await request.problem(404, text)

    async def _file(self, request: Request, index: Index) -> None:
        url = file_url(request.scope, index)
        name = filename_of(url or request.path)
        if url is not None and not name:
            await request.refuse(404, "that is a folder; projects are below /simple/")
        elif url is None or not within(url, index.token_prefix):
            await request.refuse(403, f"{name} is not below {index.token_prefix}")
        else:
            await self._answers.file(request, url, index)


def file_url(scope: dict[str, Any], index: Index) -> str | None:
    """Return the index's URL of a file that is asked for, None if the path is spelled oddly."""
    raw_path = scope["raw_path"].decode("ascii")
    prefix = f"/{index.name}/files/"
    if not raw_path.startswith(prefix):
        return None
    query = f"?{scope['query_string'].decode('ascii')}" if scope["query_string"] else ""
    return f"{origin_of(index.url)}/{raw_path.removeprefix(prefix)}{query}"
