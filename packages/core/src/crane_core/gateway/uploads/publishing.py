"""One upload from its head to the answer: taken, checked, sent on, told."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crane_core.cache.spool import DiskSpool, tidy
from crane_core.errors import CraneError, IndexUnreachable, StorageError
from crane_core.gateway.answers import final_status
from crane_core.gateway.events import Event
from crane_core.gateway.own_metadata import SUFFIX
from crane_core.gateway.passthrough import Body
from crane_core.gateway.request_ids import with_id
from crane_core.gateway.responses import header, send_bytes, status_of, to_ascii
from crane_core.gateway.uploads.incoming import Incoming
from crane_core.gateway.uploads.kinds import CRANE, OFF
from crane_core.gateway.uploads.places import switched_off, upload_target
from crane_core.gateway.uploads.refusal import FAILED, TEXT, Outcome, UploadRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from crane_core.cache.model import CachedFile
    from crane_core.config.model import Index
    from crane_core.gateway.answers import Request
    from crane_core.gateway.events import Observer
    from crane_core.gateway.passthrough import Receive
    from crane_core.gateway.publications import Publications
    from crane_core.gateway.uploads.crane_sink import CraneSink
    from crane_core.gateway.uploads.kinds import Kinds
    from crane_core.gateway.uploads.warehouse_sink import WarehouseSink

# Tools give up on a silent answer after 10 or 15 s; RFC 9110 §15.2 lets us say that it will come.
PATIENCE = 4.0
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# How long what a tool still sends is read, before its connection is closed under it.
DISCARD_SECONDS = 30.0
NO_LIMIT = 1 << 60
MOST_LENGTH = 16  # digits


@dataclass(frozen=True, slots=True)
class Publishing:
    """Takes uploads for indexes. What waits for its checks is on the disk, in `folder`.

    `offline`, none is taken.
    """

    kinds: Kinds
    crane: CraneSink
    warehouse: WarehouseSink
    publications: Publications
    observer: Observer
    folder: Path
    offline: bool = False

    async def take(
        self, request: Request, receive: Receive, index: Index, url: str | None = None
    ) -> None:
        """Answer an upload; `url` is where the tool has sent it, if that is the index's own."""
        body = Body(request.scope, receive)
        try:
            outcome = await _patiently(request, body, self._publish(request, body, index, url))
        except UploadRefused as refusal:
            outcome = Outcome(refusal.status, refusal.text)
        except CraneError as error:
            outcome = Outcome(final_status(status_of(error)), error.line)
        except ConnectionResetError as error:
            self.observer(Event("upload", request.path, problem=str(error)))
            request.connection.abort()
            return
        except Exception as error:  # noqa: BLE001 - the tool is to hear of our own faults, too
            outcome = Outcome(500, f"the upload broke: {type(error).__name__}")
        if not outcome.is_published:
            self.observer(Event("upload", request.path, problem=outcome.text))
        await _answer(request, outcome, closing=not body.is_complete)

    async def _publish(
        self, request: Request, body: Body, index: Index, url: str | None
    ) -> Outcome:
        try:
            self._require_wanted(request, index)
            await asyncio.to_thread(tidy, self.folder)  # what a process left that was killed
            spool = DiskSpool(self.folder, NO_LIMIT, _never)
        except (CraneError, UploadRefused):
            await body.discard()
            raise
        try:
            scope = request.scope
            incoming = Incoming(header(scope, b"content-type"), _length(scope), spool)
            return await self._send(incoming, body, request, index, url)
        finally:
            await asyncio.to_thread(spool.discard)

    def _require_wanted(self, request: Request, index: Index) -> None:
        """Raise the reason for which nothing of an upload need be read."""
        name = index.name
        if index.publish == OFF:
            raise UploadRefused(403, switched_off(index))
        if self.offline:
            raise IndexUnreachable(
                f"offline, and {name} cannot take a file",
                hint="do it without --offline or CRANE_OFFLINE",
            )
        if request.scope["query_string"]:
            raise UploadRefused(400, f"the URL of an upload to {name} has no query")

    async def _send(
        self, incoming: Incoming, body: Body, request: Request, index: Index, url: str | None
    ) -> Outcome:
        # At once: a tool that has sent all can be told to wait, whatever takes the time.
        intake = asyncio.create_task(incoming.receive(body))
        try:
            kind = await self.kinds.of(index)
            await incoming.ready()
            if kind == CRANE:
                outcome = await self.crane.send(index, incoming)
            else:
                agent = header(request.scope, b"user-agent").decode("latin-1")
                target = upload_target(index, url)
                outcome = await self.warehouse.send(index, incoming, target, agent)
            if outcome.is_published:
                await self._note(index, incoming, outcome)
            return outcome
        finally:
            incoming.give_up(UploadRefused(400, "the index has answered before the end"))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(intake, DISCARD_SECONDS)

    async def _note(self, index: Index, incoming: Incoming, outcome: Outcome) -> None:
        await incoming.rest()
        distribution, hashes = incoming.distribution, {"": incoming.digests["sha256"]}
        if distribution.is_wheel and incoming.metadata is not None and not outcome.problem:
            hashes[SUFFIX] = hashlib.sha256(incoming.metadata).hexdigest()
        project, name = distribution.project, distribution.filename
        try:
            await self.publications.note(index, project, name, outcome.url, hashes)
        except StorageError as error:
            # The file is published all the same.
            self.observer(Event("upload", distribution.filename, problem=error.line))
        if outcome.problem:
            problem = f"it is published, but not its metadata: {outcome.problem}"
            self.observer(Event("upload", distribution.filename, problem=problem))
        self.observer(Event("upload", distribution.filename, index.name, size=incoming.received))


async def _patiently(request: Request, body: Body, work: Awaitable[Outcome]) -> Outcome:
    """Wait for an outcome, and tell a tool that has sent all that its answer will come."""
    task = asyncio.ensure_future(work)
    speaks_1_1 = request.scope["http_version"] == "1.1"
    try:
        while not (await asyncio.wait({task}, timeout=PATIENCE))[0]:
            if speaks_1_1 and body.is_complete and not request.connection.is_closing():
                request.connection.write(CONTINUE)
        return task.result()
    finally:
        task.cancel()


async def _answer(request: Request, outcome: Outcome, *, closing: bool) -> None:
    reason = to_ascii(f"crane: {outcome.text}")
    if not outcome.is_published:
        reason = with_id(reason)
    # An answer without a body would end before ours (204, 205); one about a proxy is not for tools.
    status = 200 if outcome.is_published else {407: FAILED}.get(outcome.status, outcome.status)
    if not outcome.is_published or outcome.problem:
        request.connection.set_reason(reason)
    kind = outcome.content_type
    headers = {
        "content-type": kind if kind.isascii() and kind.isprintable() else TEXT,
        "cache-control": "no-store",
    }
    if closing:
        headers["connection"] = "close"
    content = f"{reason}\n".encode()
    if outcome.body:
        content = outcome.body
    else:
        headers["content-type"] = TEXT
    await send_bytes(request.send, request.scope, status, content, headers)


def _length(scope: dict[str, Any]) -> int | None:
    text = header(scope, b"content-length")
    return int(text) if text.isdigit() and len(text) <= MOST_LENGTH else None


def _never(_path: Path, _sha256: str, _size: int) -> CachedFile:
    raise AssertionError("an upload is no cached file")
