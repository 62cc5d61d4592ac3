"""What the tests of the cache work with: a clock that stands still, and an index by script."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

from crane_core.cache.http_cache import CachedPages
from crane_core.cache.model import CachedFile, FileRecord, PageKey, StoredPage
from crane_core.cache.store import Cache, open_cache
from crane_core.config.model import Index
from crane_core.index.answer import PageAnswer

NOON = 1_760_000_000.0
PLENTY = 10**9
INDEX = Index("python", "https://crane.example.com/python", issuer="https://sso.example.com")
OTHER = Index("other", "https://other.example.com/simple", issuer="https://sso.example.com")
URL = f"{INDEX.url}/simple/acme/"
PUBLIC_URL = "https://pypi.example.org/simple/acme/"
FILE_URL = f"{INDEX.url}/acme/acme-1.0.whl"
ADA, BOB = "1234:ada", "5678:bob"
LIMIT = 1 << 20


@dataclass
class StillClock:
    """A clock that a test moves."""

    time: float = NOON

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


def http_date(when: float) -> str:
    return formatdate(when, usegmt=True)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Desk:
    """One process's view of a cache folder."""

    folder: Path
    size: int = PLENTY
    clock: StillClock = field(default_factory=StillClock)
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cache: Cache = open_cache(self.folder, self.clock, self.size, self.notices.append)
        self.files = self.cache.files
        self.pages = self.cache.pages
        self.contacts = self.cache.contacts

    def another(self) -> Desk:
        """Return what another process would see."""
        return Desk(self.folder, self.size, self.clock)

    def put(self, content: bytes, url: str | None = None, identity: str = ADA) -> CachedFile:
        """Bring a file into the cache, as given at a URL."""
        spool = self.files.spool(len(content))
        assert spool is not None, self.notices
        spool.write(content)
        cached = spool.commit(sha256(content))
        if url is not None:
            self.files.authorise(url, identity, FileRecord(cached.sha256, self.clock.now()))
        return cached

    def put_page(self, url: str = URL, identity: str = ADA, body: bytes = b"page") -> PageKey:
        """Bring a page into the cache."""
        key = PageKey(url, identity)
        self.pages.write(key, StoredPage(url, {"etag": '"1"'}, body, self.clock.now()))
        return key

    def total(self) -> int:
        """Return the bytes that are accounted for."""
        (row,) = self.cache.database.rows("SELECT COALESCE(SUM(size), 0) FROM entries")
        return int(row[0])

    def entries(self) -> set[str]:
        """Return what is accounted for."""
        return {name for (name,) in self.cache.database.rows("SELECT name FROM entries")}

    def on_disk(self) -> set[str]:
        """Return the hashes of the files that are there."""
        return {path.name for path in (self.folder / "files").glob("??/*")}

    def spools(self) -> list[Path]:
        """Return the files on their way into the cache."""
        return list((self.folder / "spool").glob("*"))

    def close(self) -> None:
        self.cache.close()


@dataclass
class Reply:
    """An index's answer. The Date is that of the moment it is given, unless there is one."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"<a href='acme-1.0.whl'>acme-1.0.whl</a>"
    status: int = 200
    takes: float = 0.0
    url: str = ""
    packed: bytes = b""


@dataclass
class Script:
    """An index that gives these answers in turn, and writes down what it was asked."""

    clock: StillClock
    replies: list[Reply | Exception] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    on_request: list[object] = field(default_factory=list)

    async def page(
        self, url: str, limit: int, index: Index | None, headers: Mapping[str, str]
    ) -> PageAnswer:
        self.asked.append(dict(headers))
        for action in self.on_request:
            action()  # type: ignore[operator]
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        date = http_date(self.clock.now())
        self.clock.time += reply.takes
        sent = {"content-type": "text/html", "date": date, **reply.headers}
        body = b"" if reply.status == 304 else reply.body
        kind, packed = sent["content-type"], reply.packed
        return PageAnswer(reply.url or url, reply.status, kind, body, sent, packed=packed)


class Wire:
    """Pages by way of a cache, with an index by script behind it."""

    def __init__(self, desk: Desk, *replies: Reply | Exception, **settings: object) -> None:
        self.desk = desk
        self.clock = desk.clock
        self.who: str | None = ADA
        self.script = Script(desk.clock, list(replies))
        # RFC 9111 is what these tests are about, the shorter life of private pages is in its own.
        options = {"private_max_age": float("inf"), **settings}
        self.pages = CachedPages(
            self.script,
            desk.cache.recent,
            desk.contacts,
            lambda _: self.who,
            desk.clock,
            **options,  # type: ignore[arg-type]
        )

    @property
    def asked(self) -> list[dict[str, str]]:
        """The headers of each request that reached the index."""
        return self.script.asked

    def get(self, url: str = URL, index: Index | None = INDEX, **more: float) -> PageAnswer:
        """Ask for a page, and wait until the disk has what is kept of it."""
        try:
            return asyncio.run(self.pages.page(url, LIMIT, index, **more))
        finally:
            self.desk.cache.recent.flush()

    def later(self, seconds: float, *replies: Reply | Exception) -> None:
        """Let time pass; then the index gives these answers."""
        self.clock.time += seconds
        self.script.replies += replies
