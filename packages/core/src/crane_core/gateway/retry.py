"""Asking once more: after which failures, after how long, and until when."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

import httpx2

from crane_core.errors import IndexUnreachable
from crane_core.http import server_time
from crane_core.urls import origin_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from crane_core.http import Response

# RFC 6585 §4; RFC 9110 §15.6.3 to 15.6.5.
BUSY = frozenset({429, 502, 503, 504})
TRIES = 3
FIRST_PAUSE = 0.25  # seconds; with jitter
GROWTH = 4.0
LEAST = 0.5  # seconds; with less than this left another try is not worth its request

# Errors in name, but of the connection: it has nothing to read yet, or it ended.
TLS_STATES = (
    ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError, ssl.SSLZeroReturnError,
)  # fmt: skip

T = TypeVar("T")


class Transient(IndexUnreachable):
    """A failure that another try may not meet; `after` is how long the index asks to wait."""

    def __init__(self, message: str, *, hint: str = "", after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.after = after


@dataclass(frozen=True, slots=True)
class Patience:
    """Tries a request again after a `Transient` failure, at most `TRIES` times and `seconds`.

    The pauses grow, and are spread by chance so that many waiting requests do not come back as
    one. What an index asks for (Retry-After) is kept to where there is time for it.
    """

    seconds: float
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random

    async def run(self, once: Callable[[], Awaitable[T]], url: str) -> T:
        """Return what `once` returns. Raises its last error, or `IndexUnreachable` for the time."""
        end = self.monotonic() + self.seconds
        failure: Transient | None = None
        for number in range(TRIES):
            try:
                async with asyncio.timeout(end - self.monotonic()):
                    return await once()
            except TimeoutError:
                raise failure or self._too_slow(url) from None
            except Transient as error:
                failure = error
            pause = self._pause(number, failure, end - self.monotonic())
            if pause is None or number == TRIES - 1:
                break
            await self.sleep(pause)
        assert failure is not None
        raise failure

    def _pause(self, number: int, failure: Transient, left: float) -> float | None:
        """Return how long to wait, None if there is no time. Raises `IndexUnreachable`."""
        pause = FIRST_PAUSE * GROWTH**number * (0.5 + self.chance() / 2)
        if failure.after is not None:
            if failure.after > left - LEAST:
                raise IndexUnreachable(
                    f"{failure.message} and asks to wait {failure.after:.0f} s",
                    hint="try again after that",
                ) from failure
            pause = max(pause, failure.after)
        return pause if pause <= left - LEAST else None

    def _too_slow(self, url: str) -> IndexUnreachable:
        return IndexUnreachable(
            f"{origin_of(url).netloc} did not answer in {self.seconds:.0f} s",
            hint="check the network or VPN",
        )


def is_transient(error: Exception) -> bool:
    """Whether a network error may be gone at the next try.

    TLS does not change its mind, and a name that does not exist will not do so in a second.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, TLS_STATES):
            return False
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
            return False
    lasting = isinstance(error, httpx2.PoolTimeout)
    passing = (httpx2.NetworkError, httpx2.TimeoutException, httpx2.ProtocolError)
    return isinstance(error, passing) and not lasting


def busy(response: Response, url: str, now: float) -> Transient:
    """Return the error for an answer that says *not now*."""
    return Transient(
        f"{url} answered HTTP {response.status_code}",
        hint="try again in a minute",
        after=retry_after(response, now),
    )


def retry_after(response: Response, now: float) -> float | None:
    """Return the seconds that an answer asks to wait (RFC 9110 §10.2.3), None if it does not.

    A date is compared with the server's own clock where the answer shows it.
    """
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    theirs = server_time(response)
    return max(0.0, when.timestamp() - (now if theirs is None else theirs))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
