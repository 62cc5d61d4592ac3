"""A file request to an index: how it is asked, verified and noted down."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

from crane_core.cache.model import FileRecord
from crane_core.errors import IndexRefused, NotFound
from crane_core.gateway.file_answers import is_lasting, lasting_headers, require_file
from crane_core.gateway.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from crane_core.clock import Clock
    from crane_core.gateway.file_hashes import FileHashes
    from crane_core.gateway.grants import Grants, Wanted
    from crane_core.gateway.upstream import Upstream
    from crane_core.http import Response


class Fetch:
    """Asks the index for a file with these request headers (a `Source`)."""

    def __init__(
        self,
        wanted: Wanted,
        headers: Mapping[str, str],
        upstream: Upstream,
        hashes: FileHashes,
        grants: Grants,
        clock: Clock,
        arrived: Callable[[Wanted], None],
    ) -> None:
        """`arrived` hears of a file that is in the cache now."""
        self._wanted = wanted
        self._headers = headers
        self._upstream = upstream
        self._hashes = hashes
        self._grants = grants
        self._clock = clock
        self._arrived = arrived
        self._response: Response | None = None
        self._asked_at = 0.0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Transfer]:
        """Ask for the file. Raises a `CraneError` if the answer is none."""
        wanted = self._wanted
        self._asked_at = self._clock.now()
        try:
            async with self._ask({}) as response:
                require_file(response, wanted.url, wanted.index, self._headers)
                self._response = response
                yield Transfer(
                    response,
                    wanted.url,
                    self._ask,
                    self._clock.sleep,
                    hash_is_known=bool(wanted.known or wanted.expected),
                )
        except (NotFound, IndexRefused) as error:
            await self._grants.withdraw(wanted, error)
            raise

    def _ask(self, more: Mapping[str, str]) -> contextlib.AbstractAsyncContextManager[Response]:
        wanted = self._wanted
        headers = {**self._headers, **more}
        return self._upstream.open("GET", wanted.url, index=wanted.index, headers=headers)

    async def verify(self, sha256: str) -> None:
        """Compare a whole file with what is known of it; raise `StreamBroken` if it is another."""
        assert self._response is not None
        wanted = self._wanted
        if self._response.status_code == 200 and is_lasting(wanted.url):
            check = partial(self._hashes.verify, wanted.url, wanted.index, sha256)
            await asyncio.to_thread(check, wanted.expected)

    async def kept(self, sha256: str) -> None:
        """Note that the file is in the cache, and for whom."""
        assert self._response is not None
        record = FileRecord(sha256, self._asked_at, lasting_headers(self._response))
        await self._grants.give(self._wanted, record)
        self._arrived(self._wanted)
