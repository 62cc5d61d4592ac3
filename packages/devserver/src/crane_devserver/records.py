"""The request log: what a client really sent, for tests to look at."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

from .asgi import USER_KEY, ASGIApp, Message, Receive, Scope, Send, raw_path, run_lifespan


@dataclass(frozen=True)
class RequestRecord:
    """One request as it arrived, and the status it got (``None``: the client left first)."""

    method: str
    path: str
    query: str
    # Headers hold tokens: a failing test must not print them.
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    authorized_user: str | None
    status: int | None

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in any letter case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


class RequestLog(Sequence[RequestRecord]):
    """All requests so far, oldest first. Safe to read while the server runs."""

    def __init__(self) -> None:
        self._records: list[RequestRecord] = []
        self._lock = threading.Lock()

    @overload
    def __getitem__(self, index: int) -> RequestRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[RequestRecord]: ...
    def __getitem__(self, index: int | slice) -> RequestRecord | list[RequestRecord]:
        return self.snapshot()[index]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[RequestRecord]:
        return iter(self.snapshot())

    def snapshot(self) -> list[RequestRecord]:
        """Return a copy that no later request changes."""
        with self._lock:
            return list(self._records)

    def add(self, record: RequestRecord) -> None:
        """Append a record."""
        with self._lock:
            self._records.append(record)

    def clear(self) -> None:
        """Forget all requests so far."""
        with self._lock:
            self._records.clear()

    def to(self, path: str, method: str | None = None) -> list[RequestRecord]:
        """Return the requests to exactly ``path``, of one method if given."""
        found = [record for record in self.snapshot() if record.path == path]
        return [record for record in found if method in (None, record.method)]


class Recorder:
    """Writes each request of the wrapped application to a log.

    The record is made before the first byte of the response leaves, so that a client
    which has its answer finds its request in the log.
    """

    def __init__(self, app: ASGIApp, log: RequestLog) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and write it down."""
        if scope["type"] == "lifespan":
            await run_lifespan(receive, send)
            return
        answered = False

        async def recording(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                self._log.add(_record(scope, message["status"]))
            await send(message)

        try:
            await self._app(scope, receive, recording)
        finally:
            if not answered:
                self._log.add(_record(scope, None))


def _record(scope: Scope, status: int | None) -> RequestRecord:
    return RequestRecord(
        method=scope["method"],
        path=raw_path(scope),
        query=scope["query_string"].decode("latin-1"),
        headers=tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in scope["headers"]),
        authorized_user=scope.get(USER_KEY),
        status=status,
    )
