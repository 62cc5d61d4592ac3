"""Pages in memory in front of the disk."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from crane_core.cache import recent
from crane_core.cache.model import PageKey, StoredPage
from crane_core.cache.recent import HOLD, LATE, RecentPages
from tests.cache.kit import ADA, NOON, URL, Desk

KEY = PageKey(URL, ADA)


def a_page(body: bytes = b"page", etag: str = '"1"') -> StoredPage:
    return StoredPage(URL, {"etag": etag}, body, NOON)


def get(pages: RecentPages, key: PageKey = KEY) -> StoredPage | None:
    return asyncio.run(pages.get(key))


@pytest.fixture
def pages(desk: Desk) -> RecentPages:
    return desk.cache.recent


def test_a_change_counts_at_once_here_and_soon_everywhere(desk: Desk, pages: RecentPages) -> None:
    with desk.cache.database.transaction():  # nothing can be written meanwhile
        pages.write(KEY, a_page())
        assert get(pages) == a_page()
        assert desk.another().pages.read(KEY) is None
    pages.flush()
    assert desk.another().pages.read(KEY) == a_page()


def test_changes_of_one_page_are_made_in_their_order(desk: Desk, pages: RecentPages) -> None:
    newer = a_page(etag='"2"')
    pages.write(KEY, a_page())
    pages.remove(KEY)
    assert get(pages) is None
    pages.write(KEY, a_page(b"other"))
    pages.renew(KEY, a_page(b"other", '"2"'))
    assert get(pages) == a_page(b"other", '"2"')
    pages.flush()
    assert desk.another().pages.read(KEY) == a_page(b"other", newer.headers["etag"])


@pytest.mark.parametrize(
    ("said", "later", "written"),
    [
        ({"date": "Thu, 01 Jan 2026 00:00:01 GMT"}, LATE - 1, False),
        ({}, LATE, True),
        ({"etag": '"2"'}, 1, True),
        ({"cache-control": "max-age=60"}, 1, True),
        ({}, -1, True),
    ],
    ids=["says nothing new", "later", "another", "may be used unasked", "clock set back"],
)
def test_what_is_asked_for_all_the_time_is_written_now_and_then(
    desk: Desk, pages: RecentPages, said: dict[str, str], later: float, written: bool
) -> None:
    headers = {"etag": '"1"', "cache-control": said.get("cache-control", "no-cache")}
    page = StoredPage(URL, headers, b"page", NOON)
    pages.write(KEY, page)
    pages.flush()
    renewed = StoredPage(URL, {**headers, **said}, b"page", NOON + later)
    pages.renew(KEY, renewed)
    pages.flush()
    assert get(pages) == renewed
    assert desk.another().pages.read(KEY) == (renewed if written else page)


def test_a_page_that_another_process_removed_is_gone_a_minute_later(
    desk: Desk, pages: RecentPages
) -> None:
    pages.write(KEY, a_page())
    pages.flush()
    desk.another().pages.remove(KEY)
    desk.clock.time += HOLD - 1
    assert get(pages) == a_page()
    desk.clock.time += 1
    assert get(pages) is None


def test_a_page_that_another_process_wrote_is_found(desk: Desk, pages: RecentPages) -> None:
    assert get(pages) is None
    desk.another().pages.write(KEY, a_page())
    assert get(pages) == a_page()


@pytest.mark.parametrize("size", [recent.LARGEST_KEPT, recent.LARGEST_KEPT + 1])
def test_large_pages_are_not_held_in_memory(desk: Desk, pages: RecentPages, size: int) -> None:
    pages.write(KEY, a_page(bytes(size)))
    pages.flush()
    desk.another().pages.remove(KEY)
    assert (get(pages) is not None) == (size <= recent.LARGEST_KEPT)


def test_what_the_memory_holds_is_bounded(
    desk: Desk, pages: RecentPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "MOST_BYTES", 100_000)
    keys = [PageKey(f"{URL}{n}", ADA) for n in range(10)]
    for key in keys:
        pages.write(key, a_page(bytes(20_000)))
        pages.flush()
        assert get(pages, keys[0]) is not None  # used again and again
    other = desk.another().pages
    for key in keys:
        other.remove(key)
    held = [n for n, key in enumerate(keys) if get(pages, key) is not None]
    assert held == [0, 7, 8, 9]


def test_the_memory_holds_no_page_twice(desk: Desk, pages: RecentPages) -> None:
    pages.write(KEY, replace(a_page(b"page"), packed=b"packed"))
    pages.flush()
    desk.another().pages.remove(KEY)
    held = get(pages)
    assert held is not None
    assert (held.body, held.packed) == (b"page", b"")


def test_a_disk_that_is_too_slow_gets_no_more(
    desk: Desk, pages: RecentPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "MOST_UNWRITTEN", 100)
    other = PageKey(f"{URL}2", ADA)
    with desk.cache.database.transaction():
        pages.write(KEY, a_page(bytes(60)))
        pages.write(other, replace(a_page(bytes(30)), packed=bytes(30)))
    pages.flush()
    assert desk.another().pages.read(KEY) is not None
    assert desk.another().pages.read(other) is None
    # What was written counts no more.
    pages.write(other, a_page(bytes(60)))
    pages.flush()
    assert desk.another().pages.read(other) is not None


def test_a_cache_that_cannot_be_written_answers_from_the_disk(
    desk: Desk, pages: RecentPages
) -> None:
    """A change that failed is no change: what the disk has is what there is."""
    desk.put_page(body=b"old")
    lock = desk.another().cache.database
    with lock.transaction():  # longer than anybody waits
        pages.write(KEY, a_page(b"new"))
        pages.flush()
    desk.clock.time += HOLD
    page = get(pages)
    assert page is not None
    assert page.body == b"old"


def test_a_cache_of_size_0_holds_nothing(desk: Desk) -> None:
    off = Desk(desk.folder.with_name("off"), size=0).cache.recent
    off.write(KEY, a_page())
    off.renew(KEY, a_page())
    assert get(off) is None
    off.remove(KEY)
    off.flush()
