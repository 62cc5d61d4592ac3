"""A gateway that gives nothing but files, and an index whose every answer the test writes."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import sqlite3
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx2
from gateway.tools import until
from gateway.upstream import SECONDS, Scripted, start

from crane_core.cache.store import Cache, open_cache
from crane_core.config.model import Index
from crane_core.errors import CraneError, LoginNeeded
from crane_core.gateway.connection import EXTENSION
from crane_core.gateway.file_answers import StreamBroken
from crane_core.gateway.files import Delivered, FileStreamer
from crane_core.gateway.responses import status_of
from crane_core.gateway.server import bind, run, serving
from crane_core.gateway.transports import Transports
from crane_core.gateway.upstream import Upstream
from crane_core.http import TimeLimits
from crane_core.index.provenance import SqliteProvenance
from crane_core.secret import Secret
from crane_devserver.running import serve_in_thread

NOON = 1_760_000_000.0
PLENTY = 10**9
PIECE = 64 << 10
PATH = "/python/lib/lib-1.0-py3-none-any.whl"


def noise(size: int, seed: str = "") -> bytes:
    """Return bytes in which no part looks like another."""
    return hashlib.shake_128(seed.encode()).digest(size)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def http_date(when: float) -> str:
    return formatdate(when, usegmt=True)


def until_kept(cache: Path, count: int = 1) -> None:
    """Wait until a cache has so many files, and has noted who was given them."""

    def kept() -> int:
        with closing(sqlite3.connect(cache / "cache.sqlite3")) as database:
            return int(database.execute("SELECT count(*) FROM grants").fetchone()[0])

    until(lambda: kept() == count, f"{count} files in the cache")


def lose_files(cache: Path, count: int = 1) -> None:
    """Remove the files of a cache once they are there, as when others need the room."""
    until_kept(cache, count)
    for path in cache.glob("files/??/*"):
        path.unlink()


@dataclass
class Clock:
    """A clock that a test moves; pauses are written down and take no time."""

    time: float = NOON
    pauses: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


@dataclass
class File:
    """A file at the index (an ASGI application).

    Each item of `cuts` ends the body of one GET after so many bytes; the others come whole. The
    body waits at `pause_at` for `opened`. `lies` are header fields that a 206 has instead of its
    own. A token in `refused` gets 404. A 206 begins `shift` bytes after what was asked for, and has
    no more than `at_most` bytes, as its header fields say.
    """

    content: bytes
    etag: str = ""
    last_modified: str = ""
    sized: bool = True
    ranges: bool = False
    cuts: list[int] = field(default_factory=list)
    pause_at: int | None = None
    opened: threading.Event = field(default_factory=threading.Event)
    lies: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    shift: int = 0
    at_most: int | None = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        asked = {k.decode().lower(): v.decode() for k, v in scope["headers"]}
        status, begin = self._status(scope["method"], asked)
        if status not in {200, 206}:
            await send(start(status, content_length="0"))
            await send({"type": "http.response.body", "body": b""})
            return
        end = len(self.content)
        if status == 206:
            begin += self.shift
            end = min(end, begin + (self.at_most or end))
        body = self.content[begin:end]
        await send(start(status, **self._headers(status, begin, end)))
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        cut = self.cuts.pop(0) if self.cuts else None
        await self._send(body if cut is None else body[:cut], send)
        if cut is None:
            await send({"type": "http.response.body", "body": b""})

    def _status(self, method: str, asked: dict[str, str]) -> tuple[int, int]:
        if asked.get("authorization", "").removeprefix("Bearer ") in self.refused:
            return 404, 0
        if planned := self.statuses.get(method):
            return planned.pop(0), 0
        wanted, condition = asked.get("range"), asked.get("if-range")
        holds = condition in {None, self.etag, self.last_modified}
        if self.ranges and wanted and holds:
            return 206, int(wanted.removeprefix("bytes=").removesuffix("-"))
        return 200, 0

    def _headers(self, status: int, begin: int, end: int) -> dict[str, str]:
        headers = {"content_type": "application/zip"}
        if self.sized:
            headers["content_length"] = str(end - begin)
        for name in ("etag", "last_modified"):
            if value := getattr(self, name):
                headers[name] = value
        if self.ranges:
            headers["accept_ranges"] = "bytes"
        if status == 206:
            headers["content_range"] = f"bytes {begin}-{end - 1}/{len(self.content)}"
            headers |= self.lies
        return headers

    async def _send(self, body: bytes, send: Any) -> None:
        for offset in range(0, len(body), PIECE):
            if self.pause_at is not None and offset >= self.pause_at:
                assert await asyncio.to_thread(self.opened.wait, SECONDS)
            piece = body[offset : offset + PIECE]
            await send({"type": "http.response.body", "body": piece, "more_body": True})


class Tool:
    """A tool in the middle of a download."""

    def __init__(self, port: int, path: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._connection.request("GET", path)
        self._answer: http.client.HTTPResponse | None = None

    @property
    def answer(self) -> http.client.HTTPResponse:
        """The answer, once it has begun."""
        if self._answer is None:
            self._answer = self._connection.getresponse()
        return self._answer

    def read(self, size: int | None = None) -> bytes:
        """Read so much, or to the end; raises `IncompleteRead` if that does not come."""
        return self.answer.read(size)

    def reads(self, expected: bytes, offset: int = 0) -> bool:
        """Whether the rest is that of `expected`; it is not kept in memory."""
        buffer = bytearray(256 << 10)
        while count := self.answer.readinto(buffer):
            if buffer[:count] != expected[offset : offset + count]:
                return False
            offset += count
        return offset == len(expected)

    def leave(self) -> None:
        """Close the connection."""
        if self._answer is not None:
            self._answer.close()
        self._connection.close()


@dataclass
class Depot:
    """What a test has of a gateway: its URL, its cache, its clock, and who is logged in."""

    folder: Path
    index: Index
    upstream: Scripted
    port: int
    streamer: FileStreamer
    cache: Cache
    clock: Clock
    loop: asyncio.AbstractEventLoop
    provenance: SqliteProvenance
    who: list[str | None]
    delivered: list[Delivered] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    tools: list[Tool] = field(default_factory=list)
    under_way: int = 0

    def log_in(self, who: str | None) -> None:
        self.who[0] = who

    def get(self, path: str = PATH, method: str = "GET", **headers: str) -> httpx2.Response:
        """Ask for a file; header names are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        with httpx2.Client(trust_env=False, timeout=SECONDS) as client:
            return client.request(method, f"http://127.0.0.1:{self.port}{path}", headers=sent)

    def open(self, path: str = PATH) -> Tool:
        """Ask for a file, without waiting for the answer."""
        tool = Tool(self.port, path)
        self.tools.append(tool)
        return tool

    def begin(self, path: str = PATH, size: int = 0) -> Tool:
        """Ask for a file, and wait until its answer has begun, and so much of it is here."""
        tool = self.open(path)
        assert len(tool.read(size)) == size
        return tool

    def url(self, path: str = PATH) -> str:
        """Return the URL of a file at the index."""
        return self.index.url.removesuffix("/python") + path

    def asked(self, method: str = "GET", path: str = PATH) -> list[dict[str, str]]:
        """Return the headers of each such request that reached the index."""
        return [h for m, p, h in self.upstream.requests if (m, p) == (method, path)]

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run something in the gateway's loop."""
        return self.start(coroutine).result(SECONDS)

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Begin something in the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def settle(self) -> None:
        """Wait until no download is under way."""

        async def wait() -> None:
            while tasks := self.streamer._downloads._tasks:
                await asyncio.wait(set(tasks))

        self.run(wait())

    def quiet(self) -> None:
        """Wait until every request has been answered."""

        async def wait() -> None:
            while self.under_way:  # noqa: ASYNC110
                await asyncio.sleep(0)

        self.run(wait())

    def until_readers(self, count: int) -> None:
        """Wait until so many tools follow the downloads that can be shared."""

        async def wait() -> None:
            downloads = self.streamer._downloads._shared
            while sum(len(d._readers) for d in downloads.values()) != count:  # noqa: ASYNC110
                await asyncio.sleep(0)

        self.run(wait())

    def spools(self) -> list[Path]:
        """Return the files on their way into the cache."""
        return list((self.folder / "cache" / "spool").glob("*"))

    def cached(self) -> list[Path]:
        """Return the files in the cache."""
        return list((self.folder / "cache" / "files").glob("??/*"))


class _Tokens:
    def __init__(self, who: list[str | None]) -> None:
        self._who = who

    async def token(self, index: Index, *, rejected: Secret | None = None) -> Secret:
        if self._who[0] is None:
            raise LoginNeeded("nobody is logged in", hint="log in")
        return Secret(f"{self._who[0]}-token")


@contextmanager
def depot(
    folder: Path, files: dict[str, Any], *, size: int = PLENTY, **options: Any
) -> Iterator[Depot]:
    """Serve an index's files by way of a gateway with a cache; with size 0 there is none."""
    upstream = Scripted(files)
    with serve_in_thread(upstream) as url:
        index = Index("python", f"{url}/python", issuer="https://sso.example.com")
        with gateway_of(folder, index, upstream, size=size, **options) as made:
            yield made


@contextmanager
def gateway_of(
    folder: Path, index: Index, upstream: Scripted, *, size: int = PLENTY, **options: Any
) -> Iterator[Depot]:
    """Serve the files of an index that runs already."""
    listener = bind("127.0.0.1", 0)
    listener.listen(256)
    port = listener.getsockname()[1]
    started: Future[Depot] = Future()
    ending: list[asyncio.Event] = []

    async def main() -> None:
        ending.append(asyncio.Event())
        clock: Clock = options.pop("clock", None) or Clock()
        who: list[str | None] = ["ada"]
        cache = open_cache(folder / "cache", clock, size, print)
        provenance = SqliteProvenance(folder / "provenance.sqlite3")
        with suppress(asyncio.CancelledError):
            async with Transports(TimeLimits(), per_host=128) as wires:
                streamer = FileStreamer(
                    Upstream(wires, _Tokens(who), clock),
                    provenance,
                    store=cache.files if size else None,
                    contacts=cache.contacts,
                    identity=lambda _: who[0],
                    clock=clock,
                    **options,
                )
                made = Depot(
                    folder, index, upstream, port, streamer, cache, clock,
                    asyncio.get_running_loop(), provenance, who,
                )  # fmt: skip
                async with serving(_app(made), listener):
                    started.set_result(made)
                    await ending[0].wait()
                await streamer.close()
        cache.close()
        provenance.close()

    def body() -> None:
        try:
            run(main())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=body, name="depot", daemon=True)
    thread.start()
    made = started.result(SECONDS)
    try:
        yield made
    finally:
        for tool in made.tools:
            tool.leave()
        made.loop.call_soon_threadsafe(ending[0].set)
        thread.join(SECONDS)
        assert not thread.is_alive(), "the gateway did not end"


def _app(made: Depot) -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        connection = scope["extensions"][EXTENSION]
        origin = made.index.url.removesuffix("/python")
        query = f"?{scope['query_string'].decode()}" if scope["query_string"] else ""
        url = f"{origin}{scope['raw_path'].decode()}{query}"
        gone = connection.is_closing
        made.under_way += 1
        try:
            made.delivered.append(await made.streamer.deliver(send, scope, url, made.index, gone))
        except StreamBroken as error:
            made.problems.append(str(error))
            connection.abort()
        except CraneError as error:
            made.problems.append(error.line)
            body = error.line.encode()
            await send(start(status_of(error), content_length=str(len(body))))
            await send({"type": "http.response.body", "body": body})
        finally:
            made.under_way -= 1

    return app
