"""A file's bytes from the index, in order; where they break off, the rest is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crane_core.errors import IndexUnreachable
from crane_core.gateway.file_answers import (
    StreamBroken,
    response_start,
)
from crane_core.gateway.ranges import Validators, read_content_range
from crane_core.gateway.upstream import unreachable
from crane_core.http import StreamError
from crane_core.responses import declared_size

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from crane_core.http import Response
    from crane_core.responses import Piece

    # Asks for the same file again, with these request headers.
    Ask = Callable[[Mapping[str, str]], AbstractAsyncContextManager[Response]]
    Take = Callable[[Piece], Awaitable[None]]

# Seconds before each further try; so many there are for one file.
PAUSES = (0.25, 1.0, 4.0)


class Transfer:
    """The body of an answer that has begun.

    Where it breaks off it is resumed only if what follows is certain to belong to the same bytes:
    by a strong validator (RFC 9110 §13.1.5), or because the hash of the whole is known and will
    be compared.
    """

    def __init__(
        self,
        response: Response,
        url: str,
        ask: Ask,
        sleep: Callable[[float], Awaitable[None]],
        *,
        hash_is_known: bool,
    ) -> None:
        self.start = response_start(response)
        # The bytes that a whole file will have, if the index says so.
        self.size = declared_size(response) if response.status_code == 200 else None
        self._response = response
        self._url = url
        self._ask = ask
        self._sleep = sleep
        self._hash_is_known = hash_is_known
        self._received = 0

    async def pour(self, take: Take) -> None:
        """Hand each piece to `take`. Raises `StreamBroken` where the rest cannot be had."""
        failure = await self._read(self._response, take)
        conditions = self._conditions()
        for pause in PAUSES:
            if failure is None or conditions is None:
                break
            await self._sleep(pause)
            failure = await self._resume(conditions, take)
        if failure is not None:
            raise StreamBroken(failure)

    async def _read(self, response: Response, take: Take) -> str | None:
        """Return why the body broke off, None if it came whole."""
        try:
            async for chunk in response.aiter_raw():
                self._received += len(chunk)
                if self.size is not None and self._received > self.size:
                    raise StreamBroken(f"{self._url} is longer than it was announced")
                if chunk:
                    await take(chunk)
        except StreamError as error:
            return unreachable(error, self._url).line
        if self.size is not None and self._received < self.size:
            return f"{self._url} ended too early"
        return None

    def _conditions(self) -> dict[str, str] | None:
        """Return the headers with which to ask for the rest, None if it is not to be asked for."""
        headers = self._response.headers
        validators = _validators(self._response)
        able = (
            headers.get("accept-ranges") == "bytes" or validators.etag or validators.last_modified
        )
        if self.size is None or not able:
            return None
        condition = validators.for_if_range(headers.get("date", ""))
        if condition:
            return {"if-range": condition}
        return {} if self._hash_is_known else None

    async def _resume(self, conditions: dict[str, str], take: Take) -> str | None:
        wanted = {"range": f"bytes={self._received}-", **conditions}
        try:
            async with self._ask(wanted) as response:
                self._require_rest(response)
                return await self._read(response, take)
        except IndexUnreachable as error:
            return error.line

    def _require_rest(self, response: Response) -> None:
        """Raise `StreamBroken` unless the answer holds what follows, of the same file."""
        part = read_content_range(response.headers.get("content-range", ""))
        before, now = _validators(self._response), _validators(response)
        follows = (
            response.status_code == 206
            and response.headers.get("content-encoding", "identity") == "identity"
            and part is not None
            and (part[0].start, part[1]) == (self._received, self.size)
            and declared_size(response) in {None, part[0].length}
        )
        if not follows or (before.etag and now.etag and before.etag != now.etag):
            raise StreamBroken(f"{self._url} broke off, and the index does not give the rest of it")


def _validators(response: Response) -> Validators:
    headers = response.headers
    return Validators(headers.get("etag", ""), headers.get("last-modified", ""))
