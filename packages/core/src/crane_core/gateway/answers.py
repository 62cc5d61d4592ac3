"""Answers about projects and files, whichever route a tool has come by."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crane_core.errors import CraneError, IndexBroken, IndexUnreachable
from crane_core.gateway.events import Event
from crane_core.gateway.file_answers import filename_of
from crane_core.gateway.finished import Finished
from crane_core.gateway.negotiation import negotiate
from crane_core.gateway.own_metadata import SUFFIX
from crane_core.gateway.pages import etag_of, serialise_root
from crane_core.gateway.request_ids import with_id
from crane_core.gateway.responses import (
    finished_head,
    header,
    is_pip,
    page_headers,
    page_status,
    send_page,
    send_problem,
    status_of,
    to_ascii,
)
from crane_core.index.announcement import FIELD, read_announcement
from crane_core.index.answer import Missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.gateway.ahead import Ahead, Tool
    from crane_core.gateway.connection import Connection
    from crane_core.gateway.events import Observer
    from crane_core.gateway.files import FileStreamer
    from crane_core.gateway.finished import FinishedAnswers
    from crane_core.gateway.metadata import WheelMetadata
    from crane_core.gateway.pages import FinishedPage, PageWriter
    from crane_core.gateway.publications import Publications
    from crane_core.gateway.readiness import Readiness
    from crane_core.gateway.responses import Send
    from crane_core.gateway.tokens import Logins
    from crane_core.index.source import PrivateIndex, SourcedPage

# Tools give up on a silent page after 15 s and show no reason then; we must be the first.
PAGE_SECONDS = 13.0
# Seconds in which the very same question for metadata gets the very same answer, as for a page.
METADATA_AGAIN = 10.0
_VALIDATED = {"cache-control": "private, no-cache"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request with what is needed to answer it.

    `base_url` is the gateway's own address, below which the links of a page lead; None leaves them
    as the index wrote them. `finished` is where an answer may be kept for the very same request.
    `observer` is told of errors.
    """

    scope: dict[str, Any]
    send: Send
    connection: Connection
    base_url: str | None
    finished: FinishedAnswers
    observer: Observer

    @property
    def path(self) -> str:
        """The path, decoded."""
        path: str = self.scope["path"]
        return path

    async def refuse(self, status: int, reason: str, *, closing: bool = False) -> None:
        """Answer with an error of which nobody has been told yet."""
        self.observer(Event("request", self.path, problem=reason))
        await self.problem(status, f"crane: {reason}", closing=closing)

    async def problem(self, status: int, text: str, *, closing: bool = False) -> None:
        """Answer with an error; `closing` ends the connection with it."""
        await send_problem(self.send, self.scope, self.connection, status, text, closing=closing)


@dataclass(frozen=True, slots=True)
class Tools:
    """What answers are made with; all routes of a gateway share it."""

    pages: PageWriter
    metadata: WheelMetadata
    files: FileStreamer
    logins: Logins
    clock: Clock
    observer: Observer
    count_given_again: Callable[[], None]
    publications: Publications
    readiness: Readiness


class Answers:
    """Answers about the projects of named sources, and with the files of indexes."""

    def __init__(
        self,
        tools: Tools,
        ahead: Ahead,
        note: Callable[[str], None] = lambda _: None,
        *,
        needs_hashes: bool = False,
    ) -> None:
        """`note` is told which source a tool asks; `needs_hashes` is as in a `Wish`."""
        self._note = note
        self._needs_hashes = needs_hashes
        self._tools = tools
        self._ahead = ahead
        self._observer = tools.observer

    async def root(self, request: Request, name: str, private: PrivateIndex | None) -> None:
        """Answer with an index's list of projects."""
        self._tools.publications.catch_up()
        try:
            root = await private.root() if private else None
        except CraneError as error:
            await request.refuse(status_of(error), error.line)
            return
        if root is None:
            await request.refuse(404, f"{name} has no list of its projects")
            return
        kind = negotiate(request.scope)
        # In a thread: a mirror's list has half a million names.
        body = await asyncio.to_thread(serialise_root, root, kind)
        await send_page(request.send, request.scope, body, page_headers(etag_of(body), kind))

    async def project(self, request: Request, name: str, project: str) -> Missing | None:
        """Answer with a project's page, or with why there is none.

        Returns what there is to be said of a missing one, with nothing sent.
        """
        self._note(name)
        self._tools.publications.catch_up()
        try:
            async with asyncio.timeout(PAGE_SECONDS):
                found = await self._ahead.page(name, project, self._tool(request, name))
                if isinstance(found, Missing):
                    self._observer(Event("page", project, source="nowhere"))
                    return found
                kind = negotiate(request.scope)
                page = await self._tools.pages.write(
                    found, project, request.base_url, kind, needs_hashes=self._needs_hashes
                )
                self._observer(Event("page", project, source=found.place, stale=found.stale))
        except TimeoutError:
            slow = IndexUnreachable(
                f"{name} did not answer in {PAGE_SECONDS:.0f} s", hint="try again in a minute"
            )
            await self.page_problem(request, project, slow)
        except CraneError as error:
            await self.page_problem(request, project, error)
        except Exception as error:  # noqa: BLE001 - a bare 500 would send pip to its next index
            broken = IndexBroken(f"the page of {project} at {name} broke: {type(error).__name__}")
            await self.page_problem(request, project, broken)
        else:
            if found.index is not None and not found.stale:
                self._tools.readiness.for_files(found.index)
            await self._send_page(request, found, page)
        return None

    async def _send_page(self, request: Request, found: SourcedPage, page: FinishedPage) -> None:
        headers = page_headers(page.etag, page.content_type, stale=found.stale)
        if self._is_fresh(found):
            news = self._tools.publications
            then = news.count(found.index)

            def is_usable() -> bool:
                return news.count(found.index) == then and self._is_fresh(found)

            self._keep(request, headers, page.body, is_usable)
        await send_page(request.send, request.scope, page.body, headers)

    def _keep(
        self, request: Request, headers: dict[str, str], body: bytes, is_usable: Callable[[], bool]
    ) -> None:
        """Let the very same request get the very same answer, as long as it `is_usable`."""
        same, scope = request.connection.request, request.scope
        if same is None or scope["method"] != "GET" or header(scope, b"if-none-match"):
            return
        head = finished_head(body, headers)
        request.finished.keep(same, Finished(head, body, is_usable, self._tools.count_given_again))

    def _is_fresh(self, found: SourcedPage) -> bool:
        """Whether a page may be given again without asking anybody, by the clock and the login."""
        if found.stale or self._tools.clock.now() >= found.fresh_until:
            return False
        return found.index is None or self._tools.logins.is_valid(found.index)

    def _tool(self, request: Request, name: str) -> Tool | None:
        user_agent = header(request.scope, b"user-agent").decode("latin-1")
        tool = self._ahead.tool(user_agent, request.connection)
        if tool is not None and (said := header(request.scope, FIELD.encode())):
            self._ahead.announce(tool, name, read_announcement(said))
        return tool

    async def page_problem(self, request: Request, project: str, error: CraneError) -> None:
        """Answer with why a page cannot be had, so that no tool takes it for an empty one."""
        self._observer(Event("page", project, problem=error.line))
        text = f"crane: {error.line}"
        if is_pip(request.scope):
            request.connection.fail_page(with_id(to_ascii(text)))
        else:
            await request.problem(page_status(request.scope, error), text)

    async def file(self, request: Request, url: str, index: Index) -> None:
        """Answer with a file of an index, or metadata of one."""
        name = filename_of(url)
        self._tools.publications.catch_up()
        try:
            if name.endswith(f".whl{SUFFIX}") and await self._metadata(request, url, index):
                return
            gone = request.connection.is_closing
            sent = await self._tools.files.deliver(request.send, request.scope, url, index, gone)
        except CraneError as error:
            self._observer(Event("file", name, problem=error.line))
            await request.problem(final_status(status_of(error)), f"crane: {error.line}")
        else:
            self._observer(
                Event(
                    "file", name, index.name, size=sent.size, stale=sent.is_stale, hit=sent.is_hit
                )
            )

    async def _metadata(self, request: Request, url: str, index: Index) -> bool:
        """Answer with metadata that is made here, or the index's own if its hash is known."""
        wheel = url.removesuffix(SUFFIX)
        name, metadata = filename_of(wheel), self._tools.metadata
        # Before it is asked for: what comes meanwhile is for the next time.
        is_usable = self._as_now(index)
        if metadata.has_own(wheel):
            body = await metadata.own_for_tool(wheel, index)
            if body is None:
                return False
        else:
            body = await metadata.for_tool(wheel, index)
        if body is None:
            why = metadata.why_not(wheel) or "the index answers no range requests"
            await request.problem(404, f"crane: no metadata for {name}: {why}")
            return True
        headers = {"content-type": "application/octet-stream", **_VALIDATED, "etag": etag_of(body)}
        self._keep(request, headers, body, is_usable)
        await send_page(request.send, request.scope, body, headers)
        self._observer(Event("metadata", name, source=index.name, size=len(body)))
        return True

    def _as_now(self, index: Index) -> Callable[[], bool]:
        """Return what says whether all is as it is now: who is logged in, and what is there."""
        news, logins, clock = self._tools.publications, self._tools.logins, self._tools.clock
        then, who, since = news.count(index), logins.identity(index), clock.now()

        def is_so() -> bool:
            return (
                who is not None
                and 0 <= clock.now() - since < METADATA_AGAIN
                and news.count(index) == then
                and logins.is_valid(index)
                and logins.identity(index) == who
            )

        return is_so


def final_status(status: int) -> int:
    """Return a status that pip does not retry, so that it shows the reason at once.

    pip asks again for 500, 502 and 503, for eight seconds, and then drops the reason phrase.
    """
    return 504 if status in {500, 502, 503} else status
