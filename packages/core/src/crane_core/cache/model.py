"""The cache's vocabulary, and the two small interfaces behind which it sits.

Two questions are kept apart. *What is it?* is answered by content: a file by its SHA-256, a page
by its key. *Who may have it?* is answered by an authorised contact: the index has given that
answer to this identity, and when. An identity stands for one login of one person or service at
one index (see `crane_core.auth.broker.Broker.identity`); `PUBLIC` is the one that everybody has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

PUBLIC = ""


@dataclass(frozen=True, slots=True)
class PageKey:
    """Which answer: a URL, as one identity gets it. The Accept header is always ours."""

    url: str
    identity: str


@dataclass(frozen=True, slots=True)
class StoredPage:
    """An answer with status 200 to a page request, as it was stored.

    `stored_at` is when the request was sent that fetched or last validated it, in seconds since
    the epoch; `headers` have lower-case names. `packed` is the body as gzip, if that is at hand.
    """

    final_url: str
    headers: Mapping[str, str]
    body: bytes
    stored_at: float
    packed: bytes = field(default=b"", compare=False, repr=False)


class PageStore(Protocol):
    """Keeps pages. A store that cannot read or write is an empty one: nothing is raised.

    Changes count at once for this process, and reach the disk a moment later.
    """

    async def get(self, key: PageKey) -> StoredPage | None:
        """Return the page, None if it is not there or damaged."""
        ...

    def write(self, key: PageKey, page: StoredPage) -> None:
        """Keep a page."""
        ...

    def renew(self, key: PageKey, page: StoredPage) -> None:
        """Take over the headers of a 304 (RFC 9111 §4.3.4); the body is the one that is there."""
        ...

    def remove(self, key: PageKey) -> None:
        """Drop a page."""
        ...

    def flush(self) -> None:
        """Wait until the changes are on the disk; for a thread."""
        ...


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What one identity was given at a file URL, and when, in seconds since the epoch."""

    sha256: str
    authorised_at: float
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A whole file in the cache; its bytes hash to `sha256`."""

    sha256: str
    path: Path
    size: int


class Spool(Protocol):
    """A file on its way into the cache: one writer, any number of readers in this process.

    Nobody else sees it before `commit`. A killed process leaves at most a spool, which the next
    one that tidies up removes.
    """

    path: Path

    def write(self, chunk: bytes | memoryview) -> None:
        """Append. Raises `DiskFull` or `NotWritable`."""
        ...

    def reader(self) -> BinaryIO:
        """Return a file object of one's own on what has been written."""
        ...

    def commit(self, sha256: str) -> CachedFile:
        """Make it a cached file under its hash, atomically. Raises a `StorageError`."""
        ...

    def discard(self) -> None:
        """Remove it."""
        ...


class FileStore(Protocol):
    """Keeps files by content, and who was given which URL."""

    def find(self, sha256: str) -> CachedFile | None:
        """Return a whole and unchanged file, and note its use; None if there is none.

        Reads the whole file the first time: call it in a thread. The file may be gone when you
        open it, as if it had not been found; once open, it stays.
        """
        ...

    def held(self, sha256s: Iterable[str]) -> set[str]:
        """Return those of which there is a file, as far as is known without a look at it."""
        ...

    def spool(self, expected_size: int | None) -> Spool | None:
        """Return a new spool, None where the cache cannot be used or is too small for it."""
        ...

    def record(self, url: str, identity: str) -> FileRecord | None:
        """Return what this identity was given at this URL; None once the file has left."""
        ...

    def authorise(self, url: str, identity: str, record: FileRecord) -> None:
        """Remember that it was; without effect for a file that is not in the cache."""
        ...

    def deny(self, url: str, identity: str) -> None:
        """Forget it: the index now answers otherwise."""
        ...


class ContactLog(Protocol):
    """When an index last answered an identity with success; its URL is the `token_prefix`."""

    def is_due(self, index_url: str, identity: str, when: float) -> bool:
        """Whether a contact is to be noted; each of many need not be."""
        ...

    def note(self, index_url: str, identity: str, when: float) -> None:
        """Remember a contact, if that is due; for a thread then."""
        ...

    def last(self, index_url: str, identity: str) -> float | None:
        """Return the last one, in seconds since the epoch."""
        ...

    def drop(self, index_url: str, identity: str) -> None:
        """Forget the contact: the index has refused this identity."""
        ...

    def forget(self, identity_prefix: str) -> None:
        """Drop every contact, page and file authorisation of identities that begin so.

        Raises a `StorageError` if that cannot be done.
        """
        ...
