"""Faults on purpose: what networks, proxies and tired servers do to a client."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .asgi import Answer, ASGIApp, Headers, Message, Receive, Scope, Send, raw_path

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

_SLICES_PER_SECOND = 20


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, for the requests it matches.

    ``path`` is a prefix of the raw request path, or a compiled pattern searched in it.
    With ``status`` the canned response (``headers``, ``body``) replaces the real one;
    without it the real one is only delayed, cut or slowed. ``times`` limits how often
    the fault strikes; ``None`` means always.
    """

    path: str | re.Pattern[str] = "/"
    status: int | None = None
    headers: Headers = ()
    body: bytes | str = b""
    delay_seconds: float = 0.0
    cut_after_bytes: int | None = None
    bytes_per_second: int | None = None
    times: int | None = None
    methods: frozenset[str] | None = None

    def matches(self, method: str, path: str) -> bool:
        """Tell whether the fault strikes a request."""
        if self.methods is not None and method not in self.methods:
            return False
        if isinstance(self.path, str):
            return path.startswith(self.path)
        return self.path.search(path) is not None

    @property
    def canned(self) -> Answer | None:
        """The response sent in place of the real one, if there is one."""
        if self.status is None:
            return None
        body = self.body.encode() if isinstance(self.body, str) else self.body
        return Answer(self.status, body, self.headers)


@dataclass
class _Armed:
    fault: Fault
    left: int | None = field(default=None)


class FaultList:
    """The faults in force, first match first. Safe to change while the server runs."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._armed)

    def __iter__(self) -> Iterator[Fault]:
        with self._lock:
            return iter([armed.fault for armed in self._armed])

    def append(self, fault: Fault) -> None:
        """Put a fault in force."""
        with self._lock:
            self._armed.append(_Armed(fault, fault.times))

    def remove(self, fault: Fault) -> None:
        """End a fault; one that is used up already is no error."""
        with self._lock:
            self._armed = [armed for armed in self._armed if armed.fault is not fault]

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._armed.clear()

    @contextmanager
    def during(self, fault: Fault) -> Iterator[Fault]:
        """Keep a fault in force for a ``with`` block."""
        self.append(fault)
        try:
            yield fault
        finally:
            self.remove(fault)

    def strike(self, method: str, path: str) -> Fault | None:
        """Return the fault for a request and count it."""
        with self._lock:
            for armed in self._armed:
                if armed.left != 0 and armed.fault.matches(method, path):
                    armed.left = None if armed.left is None else armed.left - 1
                    return armed.fault
        return None


class FaultInjector:
    """Lets faults strike before the wrapped application sees a request."""

    def __init__(self, app: ASGIApp, faults: FaultList) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or let it fail."""
        fault = self._faults.strike(scope["method"], raw_path(scope))
        if fault is None:
            await self._app(scope, receive, send)
            return
        if fault.delay_seconds and await _client_left(scope, receive, fault.delay_seconds):
            return
        app: ASGIApp = fault.canned or self._app
        try:
            await app(scope, receive, _Shaped(send, fault))
        except _CutOffError:
            # Returning with an unfinished response makes the server drop the connection.
            return


class _CutOffError(Exception):
    """The response is to end here, in mid-body."""


class _Shaped:
    """A ``send`` that cuts or slows the body."""

    def __init__(self, send: Send, fault: Fault) -> None:
        self._send = send
        self._left = fault.cut_after_bytes
        self._rate = fault.bytes_per_second

    async def __call__(self, message: Message) -> None:
        """Pass a message on, within the limits."""
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        body: bytes = message.get("body", b"")
        for piece in self._pieces(body):
            await self._part(piece)
        if not message.get("more_body", False):
            # A body shorter than the limit is cut all the same: before its end mark.
            if self._left is not None:
                raise _CutOffError
            await self._send({"type": "http.response.body", "body": b""})

    async def _part(self, piece: bytes) -> None:
        allowed = piece if self._left is None else piece[: self._left]
        await self._send({"type": "http.response.body", "body": allowed, "more_body": True})
        if self._left is not None:
            self._left -= len(allowed)
            if self._left == 0:
                raise _CutOffError
        if self._rate is not None:
            await asyncio.sleep(len(allowed) / self._rate)

    def _pieces(self, body: bytes) -> Iterator[bytes]:
        size = len(body) if self._rate is None else max(1, self._rate // _SLICES_PER_SECOND)
        for start in range(0, len(body), max(1, size)):
            yield body[start : start + size]


async def _client_left(scope: Scope, receive: Receive, seconds: float) -> bool:
    """Wait, but no longer than the client does; tell whether it went away."""
    if scope["method"] not in ("GET", "HEAD"):
        # Looking for a disconnect would swallow the request's body.
        await asyncio.sleep(seconds)
        return False

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    try:
        await asyncio.wait_for(gone(), seconds)
    except TimeoutError:
        return False
    return True
