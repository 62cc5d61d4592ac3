"""Which indexes take uploads as a Crane server does, and which as PyPI (Warehouse)."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from crane_core.errors import IndexUnreachable
from crane_core.http import json_object
from crane_core.urls import origin_of

if TYPE_CHECKING:
    from crane_core.config.model import Index
    from crane_core.gateway.uploads.courier import Courier

CRANE, WAREHOUSE, OFF = "crane", "warehouse", "off"
DISCOVERY = "/.well-known/configured-openid-configuration"
QUESTION_SECONDS = 20.0
# What nothing speaks for but that nothing speaks against it may be another way soon.
GUESS_SECONDS = 60.0


class Kinds:
    """Finds out for each index what its user has not said, and remembers what it was told."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self._crane: set[str] = set()
        self._guessed: dict[str, float] = {}
        # One each, since nobody is to wait for another's index.
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def of(self, index: Index) -> str:
        """Return how an index takes uploads. Raises a `CraneError` if it cannot be asked."""
        if index.publish is not None:
            return index.publish
        base = index.upload_base
        async with self._locks[base]:
            if base in self._crane:
                return CRANE
            if time.monotonic() < self._guessed.get(base, 0.0):
                return WAREHOUSE
            if await self._asked(index, base):
                self._crane.add(base)
                return CRANE
            self._guessed[base] = time.monotonic() + GUESS_SECONDS
            return WAREHOUSE

    async def _asked(self, index: Index, base: str) -> bool:
        """Whether an index shows that it is a Crane server."""
        try:
            async with asyncio.timeout(QUESTION_SECONDS):
                return await self._lists_folders(index, base) or await self._discovers(index)
        except TimeoutError:
            raise IndexUnreachable(
                f"{base}/ did not answer within {QUESTION_SECONDS:g} s", hint="try again later"
            ) from None

    async def _lists_folders(self, index: Index, base: str) -> bool:
        """Whether a folder is answered as a Crane server's listing."""
        reply = await self._courier.get(index, f"{base}/", "application/json")
        if reply.status >= 500 or reply.status == 429:
            # Not to be guessed: the file would go to the wrong place.
            raise IndexUnreachable(f"{base}/ answered HTTP {reply.status}", hint="try again later")
        if reply.status != 200 or "json" not in reply.content_type:
            return False
        # A long listing is not read whole, and is no JSON then.
        if reply.body.lstrip().startswith(b'{"status":"success","data":{"directories":['):
            return True
        data = (json_object(reply.body) or {}).get("data")
        return isinstance(data, dict) and "directories" in data

    async def _discovers(self, index: Index) -> bool:
        """Whether the host has the page by which Crane servers name their provider."""
        reply = await self._courier.get_openly(index, f"{origin_of(index.upload_base)}{DISCOVERY}")
        target = reply.location.partition("?")[0]
        return reply.status == 302 and target.endswith("/.well-known/openid-configuration")
