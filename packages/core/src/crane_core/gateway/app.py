"""The gateway as an ASGI application: guard, route, answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from crane_core import __version__
from crane_core.errors import CraneError
from crane_core.gateway.connection import EXTENSION, Connection
from crane_core.gateway.events import Event
from crane_core.gateway.files import StreamBroken, filename_of
from crane_core.gateway.pages import localised, negotiate, serialise, serialise_root
from crane_core.gateway.responses import (
    header,
    is_pip,
    send_bytes,
    send_page,
    send_problem,
    send_redirect,
    status_of,
    to_ascii,
)
from crane_core.index.answer import Missing
from crane_core.urls import origin_of, within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.config.model import Index
    from crane_core.gateway.events import Observer
    from crane_core.gateway.files import FileStreamer
    from crane_core.gateway.guard import Guard
    from crane_core.gateway.responses import Send
    from crane_core.index.provenance import Provenance
    from crane_core.index.source import PrivateFirst

HEALTH = "/-/health"


@dataclass(frozen=True, slots=True)
class Request:
    """One request with what is needed to answer it."""

    scope: dict[str, Any]
    send: Send
    connection: Connection

    @property
    def base_url(self) -> str:
        """The gateway's address as the tool knows it; the guard has checked the Host."""
        return f"http://{header(self.scope, b'host').decode('latin-1')}"

    async def problem(self, status: int, text: str) -> None:
        """Answer with an error."""
        await send_problem(self.send, self.scope, self.connection, status, text)


class Gateway:
    """Serves registered indexes on `/NAME/simple/`, and a single one on `/simple/` and `/` too."""

    def __init__(
        self,
        sources: Mapping[str, PrivateFirst],
        indexes: Mapping[str, Index],
        files: FileStreamer,
        guard: Guard,
        provenance: Provenance,
        observer: Observer,
    ) -> None:
        self._sources = sources
        self._indexes = indexes
        self._files = files
        self._guard = guard
        self._provenance = provenance
        self._observer = observer
        self._single = next(iter(sources)) if len(sources) == 1 else None

    async def __call__(self, scope: dict[str, Any], receive: object, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        connection = scope["extensions"][EXTENSION]
        request = Request(scope, send, connection)
        if refusal := self._guard.check(scope, connection.peer_uid):
            await request.problem(refusal.status, f"crane: {refusal.reason}")
            return
        try:
            await self._route(request)
        except StreamBroken as error:
            self._observer(Event("file", filename_of(scope["path"]), problem=str(error)))
            connection.abort()

    async def _route(self, request: Request) -> None:
        path = request.scope["path"]
        if path == HEALTH:
            body = f'{{"service":"crane","version":"{__version__}"}}\n'.encode()
            headers = {"content-type": "application/json", "cache-control": "no-store"}
            await send_bytes(request.send, request.scope, 200, body, headers)
            return
        head, _, rest = path[1:].partition("/")
        if head in self._indexes and rest.startswith("files/"):
            await self._file(request, self._indexes[head])
        elif head in self._sources and rest.startswith("simple"):
            await self._simple(request, head, rest.removeprefix("simple"), f"/{head}/simple")
        elif self._single and (path == "/simple" or path.startswith("/simple/")):
            await self._simple(request, self._single, path.removeprefix("/simple"), "/simple")
        elif self._single and path.count("/") <= 2:
            await self._simple(request, self._single, path, "")
        else:
            names = ", ".join(f"/{name}/simple/" for name in self._sources)
            await request.problem(404, f"crane: nothing here; the indexes are at {names}")

    async def _simple(self, request: Request, name: str, path: str, prefix: str) -> None:
        project = path.strip("/")
        if "/" in project:
            await request.problem(404, "crane: an index has no such page")
        elif not project:
            await (self._root(request, name) if path else self._redirect(request, f"{prefix}/"))
        elif path != f"/{canonicalize_name(project)}/":
            # PEP 503 §Specification: one spelling, with a slash at the end.
            await self._redirect(request, f"{prefix}/{canonicalize_name(project)}/")
        else:
            await self._project(request, self._sources[name], project)

    async def _redirect(self, request: Request, location: str) -> None:
        await send_redirect(request.send, request.scope, location)

    async def _root(self, request: Request, name: str) -> None:
        try:
            root = await self._sources[name].private.root()
        except CraneError as error:
            await request.problem(status_of(error), f"crane: {error.line}")
            return
        if root is None:
            await request.problem(404, f"crane: {name} has no list of its projects")
            return
        kind = negotiate(request.scope)
        await send_page(request.send, request.scope, serialise_root(root.projects, kind), kind)

    async def _project(self, request: Request, source: PrivateFirst, project: str) -> None:
        try:
            found = await source.page(project)
        except CraneError as error:
            self._observer(Event("page", project, problem=error.line))
            await self._page_problem(request, error)
            return
        if isinstance(found, Missing):
            self._observer(Event("page", project, source="nowhere"))
            name = source.private.index.name
            await request.problem(404, f"crane: neither {name} nor its fallback has {project}")
            return
        fallback = source.private.index.fallback_url or ""
        where = found.index.name if found.index else origin_of(fallback).host
        self._observer(Event("page", project, source=where))
        kind = negotiate(request.scope)
        page = localised(found, request.base_url, self._provenance)
        await send_page(request.send, request.scope, serialise(page, kind), kind)

    async def _page_problem(self, request: Request, error: CraneError) -> None:
        text = f"crane: {error.line}"
        if is_pip(request.scope):
            request.connection.fail_page(to_ascii(text))
        else:
            await request.problem(status_of(error), text)

    async def _file(self, request: Request, index: Index) -> None:
        url = self._file_url(request.scope, index)
        name = filename_of(url)
        if not within(url, index.token_prefix):
            await request.problem(403, f"crane: {name} is not below {index.token_prefix}")
            return
        try:
            size = await self._files.stream(request.send, request.scope, url, index)
        except CraneError as error:
            self._observer(Event("file", name, problem=error.line))
            await request.problem(_final(status_of(error)), f"crane: {error.line}")
            return
        self._observer(Event("file", name, source=index.name, size=size))

    def _file_url(self, scope: dict[str, Any], index: Index) -> str:
        raw_path = scope["raw_path"].decode("ascii").split("/files", 1)[1]
        query = f"?{scope['query_string'].decode('ascii')}" if scope["query_string"] else ""
        return f"{origin_of(index.url)}{raw_path}{query}"


def _final(status: int) -> int:
    """Return a status that pip does not retry, so that it shows the reason at once.

    pip asks again for 500, 502 and 503, for eight seconds, and then drops the reason phrase.
    """
    return 504 if status in {500, 502, 503} else status
