"""The short way through a 304 comes to what hishel comes to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crane_core.cache.model import StoredPage
from crane_core.cache.validation import KEPT, conditions, confirmed, confirmed_as_it_was, storable
from tests.cache.kit import NOON, http_date

ETAGS = st.sampled_from(['"1"', '"2"', 'W/"1"'])
DATES = st.sampled_from([http_date(NOON), http_date(NOON + 60)])
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "etag": ETAGS,
        "last-modified": DATES,
        "date": DATES,
        "expires": DATES,
        "age": st.sampled_from(["0", "7"]),
        "cache-control": st.sampled_from(["max-age=60", "no-cache", "no-store", "private"]),
        "content-type": st.sampled_from(["text/html", "text/plain"]),
        "vary": st.sampled_from(["accept", "cookie"]),
    },
)


@given(stored=HEADERS, left_out=st.sets(st.sampled_from(sorted(KEPT))), new=HEADERS)
def test_the_short_way_comes_to_the_same(
    stored: dict[str, str], left_out: set[str], new: dict[str, str]
) -> None:
    page = StoredPage("https://x/", stored, b"", NOON)
    # Near what is stored, since most others do not go the short way.
    near = {name: value for name, value in stored.items() if name not in left_out}
    for said in (new, near, {**near, **{n: v for n, v in new.items() if n in left_out}}):
        short = confirmed_as_it_was(page, said)
        if short is not None:
            assert short == confirmed(page, said)
            assert (storable(short) is None) == (storable(stored) is None)


@given(stored=HEADERS)
def test_the_short_way_is_taken_for_the_same_headers(stored: dict[str, str]) -> None:
    page = StoredPage("https://x/", stored, b"", NOON)
    taken = confirmed_as_it_was(page, stored) is not None
    assert taken == bool({"etag", "last-modified"} & stored.keys())


@given(stored=HEADERS, when=DATES)
def test_what_is_asked_does_not_depend_on_the_moment(stored: dict[str, str], when: str) -> None:
    later = {**stored, "date": when, "age": "9"}
    asked = conditions(StoredPage("https://x/", stored, b"", NOON))
    assert asked == conditions(StoredPage("https://x/", later, b"", NOON))
    assert asked.get("if-none-match") == stored.get("etag")
