"""May a file that is in the cache be given to whoever asks, and must the index be asked first?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.cache.model import FileRecord
from crane_core.errors import (
    IndexRefused,
    IndexUnreachable,
    NotFound,
    ProviderUnreachable,
)
from crane_core.flight import SingleFlight
from crane_core.gateway.file_answers import WHOLE, lasting_headers, require_file
from crane_core.index.answer import refused
from crane_core.responses import declared_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.cache.model import CachedFile
    from crane_core.clock import Clock
    from crane_core.gateway.grants import Grants, Wanted
    from crane_core.gateway.upstream import Upstream
    from crane_core.http import Response

# Seconds for which an index's word counts that somebody may read a file.
REAUTHORISE_AFTER = 600.0


@dataclass(frozen=True, slots=True)
class Hit:
    """A cached file that may be given, with what its index says of it."""

    file: CachedFile
    headers: Mapping[str, str]
    is_stale: bool = False


class Admission:
    """Lets identities have cached files that their index gives them.

    What is kept apart: *which bytes* are the file at a URL is known by provenance, and the cache
    has them by their hash, whoever fetched them. *May this identity read that URL* only the index
    knows. So a HEAD that it answers with 200 is enough to give out the cached bytes, also to
    somebody who never fetched them: the index has shown that they may read the file, and the hash
    shows that these bytes are the file. Neither alone would do.
    """

    def __init__(
        self,
        upstream: Upstream,
        grants: Grants,
        clock: Clock,
        *,
        reauthorise_after: float,
        stale_limit: float,
        offline: bool,
    ) -> None:
        self._upstream = upstream
        self._grants = grants
        self._clock = clock
        self._reauthorise_after = reauthorise_after
        self._stale_limit = stale_limit
        self._offline = offline
        self._asking: SingleFlight[tuple[str, str | None], Hit | None] = SingleFlight()

    async def admit(
        self, wanted: Wanted, file: CachedFile, record: FileRecord | None
    ) -> Hit | None:
        """Return what to give; None if the index has to be asked for the file itself.

        `record` is what this identity was given before. While the index cannot be asked, that
        counts for the stale limit. Raises a `CraneError` if the index refuses.
        """
        if record is not None and record.sha256 != file.sha256:
            record = None
        if record is not None and self._grants.is_within(record, self._reauthorise_after):
            return Hit(file, record.headers)
        if self._offline:
            return await self._stale(wanted, file, record)
        try:
            return await self._shared(wanted, file, record)
        except (IndexUnreachable, ProviderUnreachable):
            if stale := await self._stale(wanted, file, record):
                return stale
            raise

    async def close(self) -> None:
        """Give up questions under way."""
        await self._asking.cancel()

    async def _stale(
        self, wanted: Wanted, file: CachedFile, record: FileRecord | None
    ) -> Hit | None:
        limit = wanted.index.stale_seconds(self._stale_limit)
        may_be = await self._grants.may_be_stale(wanted, record, limit)
        return Hit(file, record.headers, is_stale=True) if record and may_be else None

    async def _shared(
        self, wanted: Wanted, file: CachedFile, record: FileRecord | None
    ) -> Hit | None:
        """Ask once, however many ask for the file at once."""
        key = (wanted.url, wanted.identity)
        return await self._asking.run(key, lambda: self._ask(wanted, file, record))

    async def _ask(self, wanted: Wanted, file: CachedFile, record: FileRecord | None) -> Hit | None:
        """Ask by HEAD; where that is refused by GET, whose body is not read.

        A file may be behind a signed redirect that is good for GET alone.
        """
        asked_at = self._clock.now()
        try:
            answer = await self._answer("HEAD", wanted)
        except (NotFound, IndexRefused):
            answer = None
        try:
            answer = answer or await self._answer("GET", wanted)
        except (NotFound, IndexRefused) as error:
            await self._grants.withdraw(wanted, error)
            raise
        if answer is None or not _may_be(answer, file, record):
            return None
        headers = lasting_headers(answer)
        await self._grants.give(wanted, FileRecord(file.sha256, asked_at, headers))
        return Hit(file, headers)

    async def _answer(self, method: str, wanted: Wanted) -> Response | None:
        """Return the index's answer for the whole file; None for another one to a HEAD."""
        async with self._upstream.open(
            method, wanted.url, index=wanted.index, headers=WHOLE
        ) as response:
            status = response.status_code
            if method == "HEAD" and (400 <= status < 500 or status == 501):
                return None
            # Any such word is one against it, not only those that a file usually gets.
            if 400 <= status < 500 and status not in {404, 410}:
                raise refused(wanted.url, f"HTTP {status}")
            require_file(response, wanted.url, wanted.index, WHOLE)
            return response if status == 200 else None


def _may_be(response: Response, file: CachedFile, record: FileRecord | None) -> bool:
    """Whether nothing in an answer says that the file is another one by now.

    If something does, it is fetched, and compared by its hash.
    """
    if declared_size(response) not in {None, file.size}:
        return False
    before, now = (record.headers if record else {}), lasting_headers(response)
    return all(
        before[name] == now[name]
        for name in ("etag", "last-modified")
        if name in before and name in now
    )
