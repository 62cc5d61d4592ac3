"""Pages in the database: what was written is read, or nothing."""

from __future__ import annotations

import gzip

import pytest
from cache.kit import ADA, NOON, URL, Desk, Reply, Wire

from crane_core.cache import pages as pages_module
from crane_core.cache.model import PageKey, StoredPage
from crane_core.cache.pages import PACK_FROM

KEY = PageKey(URL, ADA)


@pytest.mark.parametrize("size", [0, 1, PACK_FROM - 1, PACK_FROM, 3 * PACK_FROM])
def test_a_page_comes_back_as_it_was(desk: Desk, size: int) -> None:
    page = StoredPage(URL + "ß", {"etag": '"ü"', "x": ""}, bytes(range(256)) * (size // 256), NOON)
    desk.pages.write(KEY, page)
    assert desk.pages.read(KEY) == page
    assert desk.another().pages.read(KEY) == page


def test_a_large_page_is_packed(desk: Desk) -> None:
    desk.put_page(body=b"<a href='acme-1.0.whl'>acme</a>" * 20_000)
    assert desk.total() < 10_000


def test_a_large_page_is_kept_as_its_index_packed_it(desk: Desk) -> None:
    """To pack it once more would take longer than to read it."""
    body = b"<a href='acme-1.0.whl'>acme</a>" * 20_000
    packed = gzip.compress(body, 9) + b"what follows"
    wire = Wire(desk, Reply({"cache-control": "max-age=60"}, body, packed=packed))
    for _ in range(2):
        answer = wire.get()
        assert (answer.body, answer.packed) == (body, b"")
    assert len(wire.asked) == 1
    assert desk.cache.database.rows("SELECT body FROM bodies") == [(packed,)]
    kept = desk.another().pages.read(KEY)
    assert kept is not None
    assert kept.body == body


def test_a_small_page_is_not_kept_packed(desk: Desk) -> None:
    packed = gzip.compress(b"page")
    wire = Wire(desk, Reply({"cache-control": "max-age=60"}, b"page", packed=packed))
    assert wire.get().packed == b""
    assert desk.cache.database.rows("SELECT body FROM bodies") == [(b"page",)]


def test_a_page_that_may_not_be_kept_is_not_held_packed(desk: Desk) -> None:
    packed = gzip.compress(b"page")
    wire = Wire(desk, Reply({"cache-control": "no-store"}, b"page", packed=packed))
    assert wire.get().packed == b""


def test_a_304_changes_headers_only(desk: Desk) -> None:
    key = desk.put_page(body=b"body")
    desk.pages.renew(key, NOON + 5, {"etag": '"2"'})
    assert desk.pages.read(key) == StoredPage(URL, {"etag": '"2"'}, b"body", NOON + 5)


def test_to_renew_what_is_not_there_makes_nothing(desk: Desk) -> None:
    desk.pages.renew(KEY, NOON, {})
    assert desk.pages.read(KEY) is None
    assert desk.entries() == set()


def test_a_removed_page_is_gone(desk: Desk) -> None:
    key, other = desk.put_page(), desk.put_page(URL + "other/")
    desk.pages.remove(key)
    desk.pages.remove(key)
    assert desk.pages.read(key) is None
    assert desk.pages.read(other) is not None
    assert desk.cache.database.rows("SELECT COUNT(*) FROM bodies") == [(1,)]
    assert len(desk.entries()) == 1


@pytest.mark.parametrize("size", [10, 2 * PACK_FROM])
@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE bodies SET body = CAST(substr(body, 1, length(body) - 1) AS BLOB)",
        "UPDATE bodies SET body = CAST(zeroblob(length(body)) AS BLOB)",
        "UPDATE pages SET headers = 'x'",
        "UPDATE pages SET packed = NOT packed",
    ],
    ids=["cut", "overwritten", "headers", "packing"],
)
def test_a_damaged_page_is_none_and_goes(desk: Desk, damage: str, size: int) -> None:
    key = desk.put_page(body=b"b" * size)
    desk.cache.database.change(damage)
    assert desk.another().pages.read(key) is None
    assert desk.entries() == set()


def test_a_crane_that_asks_for_other_types_has_other_pages(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = desk.put_page()
    monkeypatch.setattr(pages_module, "ACCEPT", "application/cbor")
    assert desk.pages.read(key) is None


def test_a_page_that_is_too_large_is_not_kept(folder: object) -> None:
    desk = Desk(folder, size=1000)  # type: ignore[arg-type]
    small = desk.put_page(URL + "small/", body=b"s")
    big = desk.put_page(body=bytes(range(256)) * 4)
    assert desk.pages.read(big) is None
    assert desk.pages.read(small) is not None
    desk.close()
