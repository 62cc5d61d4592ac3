"""A distribution on its way in: on the disk as it comes, and sent on no faster than it is checked.

A small one is checked whole before anything of it is sent. A large one is sent on while it comes,
and the tool may be no further ahead than `WINDOW`; its end is held back until it has passed.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, BinaryIO

from crane_core.gateway.uploads.checks import (
    Distribution,
    check_digests,
    check_fields,
    distribution_of,
    read_metadata,
)
from crane_core.gateway.uploads.form import FormReader, Part
from crane_core.gateway.uploads.refusal import UploadRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crane_core.cache.spool import DiskSpool
    from crane_core.gateway.passthrough import Body

# Bytes. What is no larger is checked before it is sent.
SMALL = 16 << 20
HELD_BACK = 256 << 10
WINDOW = 2 << 20
STEP = 256 << 10


class Incoming:
    """One upload, between the tool that sends it and the index that is to get it."""

    def __init__(self, content_type: bytes, length: int | None, spool: DiskSpool) -> None:
        """`length` is the form's, if the tool says it. Raises `UploadRefused`."""
        self._reader = FormReader(content_type, self)
        self._spool = spool
        self._pieces: list[bytes] = []
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        self._blake2 = hashlib.blake2b(digest_size=32)
        self._arrived, self._room, self._news = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._sent = 0
        self._is_wanted = True
        self.is_large = length is not None and length > SMALL
        self._found: Distribution | None = None
        self.before: list[Part] = []
        self.after: list[Part] = []
        self.received = 0
        self.metadata: bytes | None = None
        self.failure: Exception | None = None

    # --- what the form holds

    def part(self, part: Part) -> None:
        """Take a whole part."""
        (self.before if self._found is None else self.after).append(part)

    def file_begins(self, filename: str) -> None:
        """Check what can be checked by now."""
        self._found = distribution_of(filename)
        check_fields(self._found, self.before, whole=False)

    def file_piece(self, data: bytes) -> None:
        """Take the next bytes of the distribution."""
        self._pieces.append(data)

    # --- from the tool

    async def receive(self, body: Body) -> None:
        """Take the whole body; what is wrong with it is `failure` then, and raised by `content`."""
        try:
            async for data in body.pieces():
                # A tool that still writes would not see an answer: what is left is read as well.
                if self.failure is None:
                    await self._take(data)
            if self.failure is None:
                self._reader.finish()
                self.metadata = await asyncio.to_thread(self._checked)
        except Exception as error:  # noqa: BLE001 - whoever sends it on raises it again
            self.failure = self.failure or error
        finally:
            self._tell()

    async def _take(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            await self._store()
            await self._wait_for_room()
        except Exception as error:  # noqa: BLE001 - as above
            self.give_up(error)

    async def ready(self) -> None:
        """Wait until it may be sent on: checked, or large, and its name is known.

        Raises what is wrong with it.
        """
        while not (self.is_checked or self.failure or (self.is_large and self._found)):
            self._news.clear()
            await self._news.wait()
        if self.failure is not None:
            raise self.failure

    async def rest(self) -> None:
        """Wait until all is here and checked, although nobody sends it on any more.

        Raises what is wrong with it.
        """
        self._is_wanted = False
        self._room.set()
        while not (self.is_checked or self.failure):
            self._news.clear()
            await self._news.wait()
        if self.failure is not None:
            raise self.failure

    async def _store(self) -> None:
        pieces, self._pieces = self._pieces, []
        if not pieces:
            return
        await asyncio.to_thread(self._write, b"".join(pieces))
        self._arrived.set()
        if self.received > SMALL:
            self.is_large = True
        if self.is_large:
            self._news.set()

    def _write(self, data: bytes) -> None:
        self._spool.write(data)
        for digest in (self._sha256, self._md5, self._blake2):
            digest.update(data)
        self.received += len(data)

    async def _wait_for_room(self) -> None:
        while self.is_large and self._is_wanted and self.failure is None:
            if self.received - self._sent <= WINDOW:
                return
            self._room.clear()
            await self._room.wait()

    def _checked(self) -> bytes:
        distribution = self.distribution
        if not self.received:
            raise UploadRefused(400, f"{distribution.filename} is empty")
        parts = [*self.before, *self.after]
        check_fields(distribution, parts, whole=True)
        check_digests(distribution.filename, parts, self.digests)
        return read_metadata(distribution, self._spool.path)

    # --- to the index

    @property
    def distribution(self) -> Distribution:
        """What is uploaded; known as soon as it is `ready`."""
        assert self._found is not None
        return self._found

    @property
    def is_checked(self) -> bool:
        """Whether all of it is here, and is what it says it is."""
        return self.metadata is not None

    @property
    def digests(self) -> dict[str, str]:
        """The digests of what is here."""
        return {
            "sha256": self._sha256.hexdigest(),
            "md5": self._md5.hexdigest(),
            "blake2_256": self._blake2.hexdigest(),
        }

    async def content(self) -> AsyncIterator[bytes]:
        """Yield the file, from its beginning at each call; its end only once it has passed.

        Raises what is wrong with it.
        """
        self._sent, self._is_wanted = 0, True
        self._room.set()
        with self._spool.reader() as file:
            while True:
                if self.failure is not None:
                    raise self.failure
                released = self.received - (0 if self.is_checked else HELD_BACK)
                if self._sent < released:
                    size = min(released - self._sent, STEP)
                    data = await asyncio.to_thread(file.read, size)
                    yield data
                    self._sent += len(data)
                    self._room.set()
                elif self.is_checked:
                    return
                else:
                    self._arrived.clear()
                    await self._arrived.wait()

    def give_up(self, error: Exception) -> None:
        """Let nobody wait for it any more."""
        if self.failure is None and not self.is_checked:
            self.failure = error
        self._tell()

    def _tell(self) -> None:
        for event in (self._arrived, self._room, self._news):
            event.set()

    def reader(self) -> BinaryIO:
        """Return a file object of one's own on what is here."""
        return self._spool.reader()
