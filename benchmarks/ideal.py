"""A proxy that nobody can beat: each answer is there as soon as the chain of questions has it.

It works out nothing, reads no disk and looks for no login. What a tool takes before it is the
link's round trips and the tool's own work, and is as far as fetching ahead can come.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.limit import JSON_TYPE, Project
from benchmarks.site import FILES

HEAD_END = b"\r\n\r\n"


def answers_of(site: Path, projects: Mapping[str, Project]) -> dict[str, bytes]:
    """Return the whole answers for a closure's pages and metadata, by their paths."""
    found = {}
    for name, project in projects.items():
        page = (site / "simple" / name / "index.json").read_bytes()
        found[f"/simple/{name}/"] = _answer(page, JSON_TYPE)
        metadata = (site / "files" / f"{project.wheel}.metadata").read_bytes()
        found[f"{FILES}/{project.wheel}.metadata"] = _answer(metadata, "text/plain")
    return found


def _answer(body: bytes, kind: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@contextmanager
def ideal(answers: Mapping[str, bytes], at: Mapping[str, float]) -> Iterator[str]:
    """Serve these answers, each so many seconds after the first question; yield the index."""
    listener = socket.create_server(("127.0.0.1", 0))
    port, end, loop = listener.getsockname()[1], asyncio.Event(), uvloop.new_event_loop()

    async def serve() -> None:
        first: list[float] = []
        server = await loop.create_server(lambda: _Answering(answers, at, first), sock=listener)
        await end.wait()
        server.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}/simple/"
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()


class _Answering(asyncio.Protocol):
    def __init__(
        self, answers: Mapping[str, bytes], at: Mapping[str, float], first: list[float]
    ) -> None:
        self._answers, self._at, self._first = answers, at, first
        self._loop = asyncio.get_running_loop()
        self._rest = b""

    def connection_made(self, transport: Any) -> None:
        self._write = transport.write

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while HEAD_END in self._rest:
            head, _, self._rest = self._rest.partition(HEAD_END)
            self._ask(head.split(b" ", 2)[1].decode())

    def _ask(self, path: str) -> None:
        now = self._loop.time()
        if not self._first:
            self._first.append(now)
        wait = self._first[0] + self._at.get(path, 0.0) - now
        if wait > 0:
            self._loop.call_later(wait, self._write, self._answers[path])
        else:
            self._write(self._answers[path])
