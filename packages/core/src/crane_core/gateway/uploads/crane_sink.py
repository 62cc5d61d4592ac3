"""Uploads to a Crane server: ``POST /REPO/…/FILE``, one part named `file`, and never twice.

It says neither a digest nor whether the file is whole: so every file is read back.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import secrets
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import quote
from weakref import WeakValueDictionary

from crane_core.errors import CraneError
from crane_core.gateway.answers import final_status
from crane_core.gateway.own_metadata import SUFFIX
from crane_core.gateway.responses import status_of
from crane_core.gateway.uploads.form import head_of
from crane_core.gateway.uploads.growing import settled
from crane_core.gateway.uploads.messages import said
from crane_core.gateway.uploads.refusal import FAILED, UNCERTAIN, Outcome, UploadRefused
from crane_core.http import json_object

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.gateway.uploads.courier import Courier, Found, Reply
    from crane_core.gateway.uploads.incoming import Incoming

    FindFolder = Callable[[Index, str], Awaitable[str]]

LAYOUT = "{project}/{file}"  # at an upload-url; else where the project's page is
_EXISTS = re.compile(r"already exists", re.IGNORECASE)
ASK = "ask the index's administrators to remove it, then publish again"
# Seconds. What a failure has left must not keep its tool waiting: the index may be gone.
LEFT_SECONDS = 60.0


class CraneSink:
    """Sends files to Crane servers. `folder` gives the URL of a project's folder, with a slash."""

    def __init__(self, courier: Courier, folder: FindFolder, clock: Clock) -> None:
        self._courier = courier
        self._folder = folder
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def send(self, index: Index, incoming: Incoming) -> Outcome:
        """Return what became of an upload. Raises a `CraneError` or `UploadRefused`.

        A wheel's metadata are put beside it; it is published with them or without.
        """
        url = await self._place(index, incoming)
        async with self._alone(url, incoming):
            outcome = await self._sent(index, url, incoming)
            if not outcome.is_published:
                return outcome
            try:
                problem = await self._add_metadata(index, url, incoming)
            except CraneError as error:
                problem = error.line
        if problem is None:
            return outcome
        text = f"{outcome.text}, but not its metadata ({problem})"
        return replace(outcome, text=text, problem=problem)

    @contextlib.asynccontextmanager
    async def _alone(self, url: str, incoming: Incoming) -> AsyncIterator[None]:
        """Let nobody else here send to the same place: each would find a part of the other's."""
        lock = self._locks.get(url)
        if lock is None:
            lock = self._locks[url] = asyncio.Lock()
        if lock.locked():
            await incoming.rest()  # its tool would see no progress for as long as the other's takes
        async with lock:
            yield

    async def _sent(self, index: Index, url: str, incoming: Incoming) -> Outcome:
        try:
            reply = await self._post(index, url, incoming)
        except UploadRefused as refusal:
            # A part of it was under way: it must not be left there unseen.
            rest = await self._left(index, url, incoming)
            raise UploadRefused(refusal.status, f"{refusal.text}{rest}") from None
        except CraneError as error:
            # Whatever it was: some may have been sent by then.
            rest = await self._left(index, url, incoming)
            raise UploadRefused(final_status(status_of(error)), f"{error.line}{rest}") from None
        return await self._outcome(index, url, incoming, reply)

    async def _add_metadata(self, index: Index, url: str, incoming: Incoming) -> str | None:
        """Put a wheel's METADATA beside it (PEP 658), so that resolvers need not have the wheel.

        Returns what is wrong; that the same is there already is nothing. Raises a `CraneError`.
        """
        content = incoming.metadata
        if content is None or not incoming.distribution.is_wheel:
            return None

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        name = f"{incoming.distribution.filename}{SUFFIX}"
        reply = await self._send_file(index, f"{url}{SUFFIX}", name, pieces, len(content))
        if reply.status != 200 and not (reply.status == 400 and _EXISTS.search(said(reply))):
            return f"HTTP {reply.status}: {said(reply)}"
        # What is there may be of a wheel that was removed: resolvers would believe it.
        place = f"{url}{SUFFIX}"

        async def look() -> Found | str:
            found = await self._courier.read_back(index, place, BytesIO(content))
            return f"HTTP {found}" if isinstance(found, int) else found

        found = await settled(look, len(content), self._clock)
        if isinstance(found, str):
            return f"it cannot be read back: {found}"
        if found.sha256 != hashlib.sha256(content).hexdigest():
            return f"another one is there, which is not this wheel's ({place}); {ASK}"
        return None

    async def _place(self, index: Index, incoming: Incoming) -> str:
        name, project = incoming.distribution.filename, incoming.distribution.project
        file, layout = quote(name, safe="+!"), index.upload_layout
        if layout is None and index.upload_url is not None:
            layout = LAYOUT
        if layout is not None and "{project}" not in layout:
            return f"{index.upload_base}/{layout.format(file=file)}"
        folder = await self._folder(index, project)
        if layout is None:
            return folder + file
        spelled = folder.rstrip("/").rpartition("/")[2]
        return f"{index.upload_base}/{layout.format(project=spelled, file=file)}"

    async def _post(self, index: Index, url: str, incoming: Incoming) -> Reply:
        length = incoming.received if incoming.is_checked else None
        name = incoming.distribution.filename
        try:
            return await self._send_file(index, url, name, incoming.content, length)
        except CraneError:
            if incoming.failure is not None:
                # The reason why it broke off.
                raise incoming.failure from None
            raise

    async def _send_file(
        self,
        index: Index,
        url: str,
        filename: str,
        content: Callable[[], AsyncIterator[bytes]],
        length: int | None,
    ) -> Reply:
        boundary = f"crane-{secrets.token_hex(16)}"
        head = head_of(boundary, "file", filename)
        tail = f"\r\n--{boundary}--\r\n".encode()

        async def body() -> AsyncIterator[bytes]:
            yield head
            async for piece in content():
                yield piece
            yield tail

        headers = {
            "accept": "application/json",
            "content-type": f"multipart/form-data; boundary={boundary}",
        }
        whole = None if length is None else len(head) + length + len(tail)
        return await self._courier.post(index, url, headers, body, whole)

    async def _outcome(self, index: Index, url: str, incoming: Incoming, reply: Reply) -> Outcome:
        name, status = incoming.distribution.filename, reply.status
        where = f"{name} at {index.name}"
        if status == 200 and _is_success(reply):
            return await self._confirmed(index, url, incoming)
        if status == 400:
            return await self._perhaps_there(index, url, incoming, said(reply))
        words = said(reply)
        own = f" (it says: {words})" if words else ""
        if status == 403:
            project = incoming.distribution.project
            return Outcome(
                403,
                f"{index.name} does not let you write {project}{own}; ask its administrators for "
                "the right to write there",
            )
        if status == 413:
            # Of a large file no more than this has come by now.
            size = f"{incoming.received / 1e6:.1f} MB of it have come"
            return Outcome(
                413,
                f"{index.name} takes no file as large as {name} ({size}){own}; its "
                "administrators set that limit, often in a proxy before it",
            )
        if status == 404:
            return Outcome(
                404,
                f"{index.name} takes no uploads at {url}{own}; see: crane index set {index.name} "
                "--upload-url",
            )
        text = f"{index.name} did not take {where} (HTTP {status}{': ' + words if words else ''})"
        rest = await self._left(index, url, incoming)
        return Outcome(status if 400 <= status < 600 else FAILED, text + rest)

    async def _confirmed(self, index: Index, url: str, incoming: Incoming) -> Outcome:
        name = incoming.distribution.filename
        await incoming.rest()  # it may have answered before it had all
        found = await self._read_back(index, url, incoming)
        if isinstance(found, str):
            return Outcome(
                UNCERTAIN,
                f"{index.name} took {name}, but it cannot be read back ({found}): do not count on "
                f"it before it can be",
            )
        if found.sha256 != incoming.digests["sha256"]:
            return Outcome(
                UNCERTAIN,
                f"{index.name} took {name}, but has other bytes there now (sha256 {found.sha256}, "
                f"{found.size} bytes); {ASK}",
            )
        return Outcome(200, f"{name} is published at {index.name}", url=url)

    async def _perhaps_there(
        self, index: Index, url: str, incoming: Incoming, words: str
    ) -> Outcome:
        """Say what a refusal means: the same file is there, another one, or a part of ours."""
        await incoming.rest()  # to know whether it is the same
        name, digests = incoming.distribution.filename, incoming.digests
        found = await self._settled(index, url, incoming)
        if isinstance(found, str):
            if _EXISTS.search(words):
                words += f", but it cannot be read ({found})"
            return Outcome(400, f"{index.name} did not take {name}: {words or 'no reason given'}")
        if found.sha256 == digests["sha256"]:
            # As PyPI: the same file once more is no error.
            return Outcome(200, f"{name} is at {index.name} already, and is the same", url=url)
        if found.is_growing:
            return Outcome(UNCERTAIN, f"another upload of {name} is under way at {index.name}, and "
                           "takes its time: publish again once that has ended")  # fmt: skip
        if found.is_beginning and found.size < incoming.received:
            return Outcome(UNCERTAIN, f"{index.name} did not take {name}{_part(url, found)}")
        return Outcome(
            400,
            f"File already exists: {index.name} has another {name} (sha256 {found.sha256}, "
            f"not {digests['sha256']})",
        )

    async def _read_back(self, index: Index, url: str, incoming: Incoming) -> Found | str:
        """Return what is there, else why that is not known."""
        try:
            with incoming.reader() as file:
                found = await self._courier.read_back(index, url, file)
        except CraneError as error:
            return error.message
        return f"HTTP {found}" if isinstance(found, int) else found

    async def _settled(self, index: Index, url: str, incoming: Incoming) -> Found | str:
        """Return what is there, or why that is not known; if it is growing, what it becomes."""
        return await settled(
            lambda: self._read_back(index, url, incoming), incoming.received, self._clock
        )

    async def _left(self, index: Index, url: str, incoming: Incoming) -> str:
        """Say whether an upload that broke off has left something that blocks the next one."""
        try:
            async with asyncio.timeout(LEFT_SECONDS):
                found = await self._settled(index, url, incoming)
        except TimeoutError:
            return f"; whether a part of it is left at {url} could not be seen"
        if isinstance(found, str):
            return ""
        if incoming.is_checked and found.sha256 == incoming.digests["sha256"]:
            return "; the file is there all the same, and whole"
        return _part(url, found) if found.is_beginning else ""


def _part(url: str, found: Found) -> str:
    return f": of an upload that broke off, {found.size} bytes are left at {url}; {ASK}"


def _is_success(reply: Reply) -> bool:
    return (json_object(reply.body) or {}).get("status") == "success"
