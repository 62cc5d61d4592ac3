"""The gateway as an ASGI application: guard, route, answer."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from crane_core import __version__
from crane_core.errors import CraneError, IndexBroken, IndexUnreachable
from crane_core.gateway.connection import EXTENSION, Connection
from crane_core.gateway.events import Event
from crane_core.gateway.file_answers import StreamBroken, filename_of
from crane_core.gateway.finished import Finished, FinishedAnswers
from crane_core.gateway.guard import HEALTH
from crane_core.gateway.metadata import SUFFIX
from crane_core.gateway.metrics import CONTENT_TYPE, metrics_text
from crane_core.gateway.negotiation import negotiate
from crane_core.gateway.pages import etag_of, serialise_root
from crane_core.gateway.responses import (
    finished_head,
    header,
    is_pip,
    page_headers,
    send_bytes,
    send_page,
    send_problem,
    send_redirect,
    status_of,
    to_ascii,
)
from crane_core.gateway.status import POLICY, Status, status_page
from crane_core.index.answer import Missing
from crane_core.urls import origin_of, within

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.gateway.ahead import Ahead, Tool
    from crane_core.gateway.events import Observer
    from crane_core.gateway.files import FileStreamer
    from crane_core.gateway.guard import Guard, Refusal
    from crane_core.gateway.metadata import WheelMetadata
    from crane_core.gateway.monitor import Monitor
    from crane_core.gateway.pages import FinishedPage, PageWriter
    from crane_core.gateway.responses import Send
    from crane_core.gateway.status import CacheSize
    from crane_core.gateway.tokens import Logins
    from crane_core.index.source import PrivateFirst, Source, SourcedPage

PROJECT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# Tools give up on a silent page after 15 s and show no reason then; we must be the first.
PAGE_SECONDS = 13.0
_VALIDATED = {"cache-control": "private, no-cache"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request with what is needed to answer it."""

    scope: dict[str, Any]
    send: Send
    connection: Connection

    @property
    def path(self) -> str:
        """The path, decoded."""
        path: str = self.scope["path"]
        return path

    @property
    def base_url(self) -> str:
        """The gateway's address as the tool knows it; the guard has checked the Host."""
        return f"http://{header(self.scope, b'host').decode('latin-1')}"

    async def problem(self, status: int, text: str) -> None:
        """Answer with an error."""
        await send_problem(self.send, self.scope, self.connection, status, text)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a gateway is made of, in the order in which a request meets it.

    `private` and `beside` are the sources by name; `indexes` are all that have a login.
    """

    guard: Guard
    private: Mapping[str, PrivateFirst]
    beside: Mapping[str, Source]
    indexes: Mapping[str, Index]
    ahead: Ahead
    pages: PageWriter
    metadata: WheelMetadata
    files: FileStreamer
    logins: Logins
    clock: Clock
    monitor: Monitor
    cache_size: Callable[[], CacheSize | None]


class Gateway:
    """Serves registered indexes on `/NAME/simple/`, and a single one on `/simple/` and `/` too."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._private = parts.private
        self._sources: dict[str, Source] = {**parts.private, **parts.beside}
        self._indexes = parts.indexes
        self._files = parts.files
        self._guard = parts.guard
        self._observer: Observer = parts.monitor
        self._single = next(iter(parts.private)) if len(self._sources) == 1 else None
        self.finished = FinishedAnswers()
        self.given_again = 0
        self._status = Status(
            indexes=tuple(parts.indexes.values()),
            logins=parts.logins,
            monitor=parts.monitor,
            ahead=parts.ahead.statistics,
            given_again=lambda: self.given_again,
            cache=parts.cache_size,
            clock=parts.clock,
        )

    async def __call__(self, scope: dict[str, Any], receive: object, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        connection = scope["extensions"][EXTENSION]
        request = Request(scope, send, connection)
        if refusal := self._guard.check(scope, connection.peer_uid):
            await self._refuse(request, refusal)
            return
        connection.trusted = True
        try:
            await self._route(request)
        except StreamBroken as error:
            self._observer(Event("file", filename_of(scope["path"]), problem=str(error)))
            connection.abort()

    async def _refuse(self, request: Request, refusal: Refusal) -> None:
        self._observer(Event("page", request.scope["path"], problem=refusal.reason))
        text = f"crane: {refusal.reason}"
        if refusal.status == 403 and is_pip(request.scope) and "/files/" not in request.path:
            # A page that pip passes over in silence sends it to its next index.
            request.connection.fail_page(to_ascii(text))
        else:
            await request.problem(refusal.status, text)

    async def _route(self, request: Request) -> None:
        path = request.path
        if path.startswith("/-/"):
            await self._own(request, path)
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
            await request.problem(404, f"crane: nothing here; the indexes are at {names}")

    async def _own(self, request: Request, path: str) -> None:
        """Answer with what is the gateway's own."""
        headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
        if path == HEALTH:
            body = f'{{"service":"crane","version":"{__version__}"}}\n'.encode()
            headers["content-type"] = "application/json"
        elif path == "/-/metrics":
            body = metrics_text(self._status)
            headers["content-type"] = CONTENT_TYPE
        elif path == "/-/":
            body = status_page(self._status)
            headers |= {
                "content-type": "text/html; charset=utf-8",
                "content-security-policy": POLICY,
                "referrer-policy": "no-referrer",
            }
        else:
            await request.problem(404, "crane: see /-/, /-/health or /-/metrics")
            return
        await send_bytes(request.send, request.scope, 200, body, headers)

    async def _simple(self, request: Request, name: str, path: str, prefix: str) -> None:
        project = path.strip("/")
        normalised = canonicalize_name(project)
        if not project:
            await (self._root(request, name) if path else self._redirect(request, f"{prefix}/"))
        elif not PROJECT.fullmatch(normalised):
            # PEP 508 §Names; anything else might mean another page to the index than to us.
            await request.problem(404, "crane: that is no project name")
        elif path != f"/{normalised}/":
            # PEP 503 §Specification: one spelling, with a slash at the end.
            await self._redirect(request, f"{prefix}/{normalised}/")
        else:
            await self._project(request, name, project)

    async def _redirect(self, request: Request, location: str) -> None:
        await send_redirect(request.send, request.scope, location)

    async def _root(self, request: Request, name: str) -> None:
        try:
            root = await self._private[name].private.root() if name in self._private else None
        except CraneError as error:
            await request.problem(status_of(error), f"crane: {error.line}")
            return
        if root is None:
            await request.problem(404, f"crane: {name} has no list of its projects")
            return
        kind = negotiate(request.scope)
        # In a thread: a mirror's list has half a million names.
        body = await asyncio.to_thread(serialise_root, root, kind)
        await send_page(request.send, request.scope, body, page_headers(etag_of(body), kind))

    async def _project(self, request: Request, name: str, project: str) -> None:
        try:
            async with asyncio.timeout(PAGE_SECONDS):
                answer = await self._page(request, name, project)
        except TimeoutError:
            slow = IndexUnreachable(f"{name} did not answer in {PAGE_SECONDS:.0f} s")
            await self._page_problem(request, project, slow)
        except CraneError as error:
            await self._page_problem(request, project, error)
        except Exception as error:  # noqa: BLE001 - a bare 500 would send pip to its next index
            broken = IndexBroken(f"the page of {project} at {name} broke: {type(error).__name__}")
            await self._page_problem(request, project, broken)
        else:
            if answer is None:
                await request.problem(
                    404, f"crane: {project} is not at {name}, nor where it points"
                )
            else:
                await self._send_page(request, *answer)

    async def _page(
        self, request: Request, name: str, project: str
    ) -> tuple[SourcedPage, FinishedPage] | None:
        found = await self._parts.ahead.page(name, project, self._tool(request))
        if isinstance(found, Missing):
            self._observer(Event("page", project, source="nowhere"))
            return None
        kind = negotiate(request.scope)
        page = await self._parts.pages.write(found, project, request.base_url, kind)
        self._observer(Event("page", project, source=found.place, stale=found.stale))
        return found, page

    async def _send_page(self, request: Request, found: SourcedPage, page: FinishedPage) -> None:
        headers = page_headers(page.etag, page.content_type, stale=found.stale)
        same, scope = request.connection.request, request.scope
        plain = scope["method"] == "GET" and not header(scope, b"if-none-match")
        if same is not None and plain and self._is_fresh(found):
            head = finished_head(page.body, headers)
            again = Finished(head, page.body, lambda: self._is_fresh(found), self._count)
            self.finished.keep(same, again)
        await send_page(request.send, request.scope, page.body, headers)

    def _is_fresh(self, found: SourcedPage) -> bool:
        """Whether a page may be given again without asking anybody, by the clock and the login."""
        if found.stale or self._parts.clock.now() >= found.fresh_until:
            return False
        return found.index is None or self._parts.logins.is_valid(found.index)

    def _count(self) -> None:
        self.given_again += 1

    def _tool(self, request: Request) -> Tool | None:
        user_agent = header(request.scope, b"user-agent").decode("latin-1")
        return self._parts.ahead.tool(user_agent, request.connection)

    async def _page_problem(self, request: Request, project: str, error: CraneError) -> None:
        self._observer(Event("page", project, problem=error.line))
        text = f"crane: {error.line}"
        if is_pip(request.scope):
            request.connection.fail_page(to_ascii(text))
        else:
            await request.problem(status_of(error), text)

    async def _file(self, request: Request, index: Index) -> None:
        url = file_url(request.scope, index)
        name = filename_of(url or request.path)
        if url is not None and not name:
            await request.problem(404, "crane: that is a folder; projects are below /simple/")
            return
        if url is None or not within(url, index.token_prefix):
            await request.problem(403, f"crane: {name} is not below {index.token_prefix}")
            return
        try:
            if name.endswith(f".whl{SUFFIX}") and await self._metadata(request, url, index):
                return
            gone = request.connection.is_closing
            sent = await self._files.deliver(request.send, request.scope, url, index, gone)
        except CraneError as error:
            self._observer(Event("file", name, problem=error.line))
            await request.problem(_final(status_of(error)), f"crane: {error.line}")
        else:
            self._observer(
                Event(
                    "file", name, index.name, size=sent.size, stale=sent.is_stale, hit=sent.is_hit
                )
            )

    async def _metadata(self, request: Request, url: str, index: Index) -> bool:
        """Answer with metadata that is made here, or that was fetched ahead for this tool."""
        wheel = url.removesuffix(SUFFIX)
        name, metadata = filename_of(wheel), self._parts.metadata
        if metadata.has_own(wheel):
            body = await metadata.at_hand(wheel, index)
            if body is None:
                return False
        else:
            body = await metadata.of({"url": wheel, "filename": name, "hashes": {}}, index)
        if body is None:
            why = metadata.why_not(wheel) or "the index answers no range requests"
            await request.problem(404, f"crane: no metadata for {name}: {why}")
            return True
        headers = {"content-type": "application/octet-stream", **_VALIDATED, "etag": etag_of(body)}
        await send_page(request.send, request.scope, body, headers)
        self._observer(Event("metadata", name, source=index.name, size=len(body)))
        return True


def file_url(scope: dict[str, Any], index: Index) -> str | None:
    """Return the index's URL of a file that is asked for, None if the path is spelled oddly."""
    raw_path = scope["raw_path"].decode("ascii")
    prefix = f"/{index.name}/files/"
    if not raw_path.startswith(prefix):
        return None
    query = f"?{scope['query_string'].decode('ascii')}" if scope["query_string"] else ""
    return f"{origin_of(index.url)}/{raw_path.removeprefix(prefix)}{query}"


def _final(status: int) -> int:
    """Return a status that pip does not retry, so that it shows the reason at once.

    pip asks again for 500, 502 and 503, for eight seconds, and then drops the reason phrase.
    """
    return 504 if status in {500, 502, 503} else status
