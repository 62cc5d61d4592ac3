"""What the cache holds, for people, and how it is cleared while gateways use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.cache import entries
from crane_core.cache.clearing import note_clearing
from crane_core.cache.schema import damaged_name
from crane_core.cache.spool import tidy
from crane_core.errors import InvalidURL
from crane_core.files import storage_errors
from crane_core.urls import origin_of, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from crane_core.cache.store import Cache
    from crane_core.config.model import Index

_METADATA = "metadata:"  # pages of that kind are of a file
# Seconds. Files that are on their way into the cache have an entry before they are there.
_ON_THE_WAY = 60.0


@dataclass(frozen=True, slots=True)
class Share:
    """What the cache holds of one index, or of one host without a login."""

    index: str
    files: int = 0
    pages: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What the cache holds. A file that came from two indexes is in both shares."""

    files: int
    pages: int
    file_bytes: int
    page_bytes: int
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class Purged:
    """What was removed."""

    files: int
    pages: int
    size: int


def report(cache: Cache, indexes: Iterable[Index]) -> Report:
    """Return what is in the cache, after a look at what really is there.

    Raises a `StorageError`.
    """
    if not cache.database.path.exists():
        return Report(0, 0, 0, 0, ())
    _reconcile(cache)
    sizes = dict(cache.database.rows("SELECT name, size FROM entries"))
    files = {name: size for name, size in sizes.items() if entries.is_file(name)}
    pages = {name: size for name, size in sizes.items() if not entries.is_file(name)}
    held: dict[str, set[str]] = {}
    known = list(indexes)
    for name, url in _holdings(cache):
        held.setdefault(_label(url, known), set()).add(name)
    shares = (
        Share(
            label,
            files=sum(name in files for name in names),
            pages=sum(name in pages for name in names),
            size=sum(sizes.get(name, 0) for name in names),
        )
        for label, names in sorted(held.items())
    )
    return Report(len(files), len(pages), sum(files.values()), sum(pages.values()), tuple(shares))


def purge(
    cache: Cache,
    *,
    prefix: str | None = None,
    unused_since: float | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Purged:
    """Remove what is below the URL `prefix` and was not used since then; None for no such limit.

    `progress` is told how many entries are gone, and of how many.

    A file that another index has given, too, stays for that one. Gateways may run meanwhile: what
    they read stays readable for them. Raises a `StorageError`.
    """
    if not cache.database.path.exists():
        return Purged(0, 0, 0)
    _reconcile(cache)
    wanted = _unused(cache, unused_since)
    if prefix is not None:
        wanted = _only_of(cache, prefix, wanted)
    done = 0
    try:
        for step in entries.in_steps(wanted):
            with cache.database.transaction() as connection:
                entries.remove(connection, cache.folder, step)
            done += len(step)
            progress(done, len(wanted))
        _forget_contacts(cache, prefix, unused_since)
    finally:
        # Also where it is broken off: some entries are gone.
        note_clearing(cache.folder)
    size = sum(wanted.values()) + tidy(cache.folder / "spool")
    if prefix is None and unused_since is None:
        with storage_errors(cache.folder):
            damaged_name(cache.database.path).unlink(missing_ok=True)
    cache.database.settle()
    files = sum(entries.is_file(name) for name in wanted)
    return Purged(files, len(wanted) - files, size)


def page_urls(cache: Cache, prefix: str) -> list[str]:
    """Return the URLs below a prefix whose pages are there, whoever was given them."""
    if not cache.database.path.exists():
        return []
    urls = (url for (url,) in cache.database.rows("SELECT DISTINCT url FROM pages"))
    return [url for url in urls if not url.startswith(_METADATA) and within(url, prefix)]


def is_known(cache: Cache, index: Index) -> bool:
    """Whether the index has let somebody in, as far as is noted: else nothing is given offline."""
    prefix = index.token_prefix
    return bool(cache.database.rows("SELECT 1 FROM contacts WHERE index_url = ?", prefix))


def _unused(cache: Cache, since: float | None) -> dict[str, int]:
    limit = float("inf") if since is None else since
    return dict(cache.database.rows("SELECT name, size FROM entries WHERE used_at < ?", limit))


def _only_of(cache: Cache, prefix: str, wanted: dict[str, int]) -> dict[str, int]:
    """Return those that this index alone has given, and end what others have of it."""
    others: set[str] = set()
    own: set[str] = set()
    for name, url in _holdings(cache):
        (own if within(url, prefix) else others).add(name)
    grants = cache.database.rows("SELECT DISTINCT url, sha256 FROM grants")
    ended = [
        (url, sha256)
        for url, sha256 in grants
        if within(url, prefix) and entries.file_entry(sha256) in wanted
    ]
    with cache.database.transaction() as connection:
        connection.executemany("DELETE FROM grants WHERE url = ? AND sha256 = ?", ended)
    return {name: size for name, size in wanted.items() if name in own - others}


def _forget_contacts(cache: Cache, prefix: str | None, since: float | None) -> None:
    limit = float("inf") if since is None else since
    with cache.database.transaction() as connection:
        connection.execute(
            "DELETE FROM contacts WHERE at < ?1 AND (?2 IS NULL OR index_url = ?2)",
            (limit, prefix),
        )


def _holdings(cache: Cache) -> Iterator[tuple[str, str]]:
    """Yield each entry with a URL that it was given at."""
    for sha256, url in cache.database.rows("SELECT DISTINCT sha256, url FROM grants"):
        yield entries.file_entry(sha256), url
    for name, url in cache.database.rows("SELECT name, url FROM pages"):
        yield name, url.removeprefix(_METADATA)


def _label(url: str, indexes: Iterable[Index]) -> str:
    for index in indexes:
        if within(url, index.token_prefix):
            return index.name
    try:
        return origin_of(url).host
    except InvalidURL:
        return "-"


def _reconcile(cache: Cache) -> None:
    """Make the index say what the disk has: files without entries, and entries without files."""
    on_disk = dict(_files(cache.folder))
    known = {
        name: used_at
        for name, used_at in cache.database.rows("SELECT name, used_at FROM entries")
        if entries.is_file(name)
    }
    settled = cache.clock.now() - _ON_THE_WAY
    gone = [n for n, used_at in known.items() if n not in on_disk and used_at < settled]
    for step in entries.in_steps(gone):
        with cache.database.transaction() as connection:
            entries.remove(connection, cache.folder, step)
    with cache.database.transaction() as connection:
        for name in on_disk.keys() - known.keys():
            entries.put(connection, name, *on_disk[name])
    if cache.limit:
        now = cache.clock.now()
        entries.make_room(cache.database, cache.folder, cache.limit, now=now, sparing="")


def _files(folder: Path) -> Iterator[tuple[str, tuple[int, float]]]:
    with storage_errors(folder):
        for path in (folder / "files").glob("??/*"):
            if entries.SHA256.fullmatch(path.name):
                status = path.lstat()
                yield entries.file_entry(path.name), (status.st_size, status.st_mtime)
