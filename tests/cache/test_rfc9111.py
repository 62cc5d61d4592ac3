"""RFC 9111, case by case: what is kept, until when it is used, and how it is asked about."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from cache.kit import INDEX, NOON, PUBLIC_URL, URL, Desk, Reply, Wire, http_date

from crane_core.cache.model import PageKey

MODIFIED = http_date(NOON - 9_000_000)


@dataclass
class Case:
    """An answer's headers, and whether the page is used without asking so many seconds later."""

    headers: dict[str, str]
    later: float
    used: bool
    takes: float = 0.0
    conditions: dict[str, str] = field(default_factory=dict)


CASES = {
    "max-age, young": Case({"cache-control": "max-age=600"}, 599, used=True),
    "max-age, of age": Case({"cache-control": "max-age=600"}, 600, used=False),
    "max-age=0": Case({"cache-control": "max-age=0"}, 0, used=False),
    "max-age among others": Case(
        {"cache-control": "public, MAX-AGE=600, immutable"}, 599, used=True
    ),
    "max-age, quoted": Case({"cache-control": 'max-age="600"'}, 599, used=True),
    "max-age, no number": Case({"cache-control": "max-age=ten"}, 0, used=False),
    "max-age, negative": Case({"cache-control": "max-age=-5"}, 0, used=False),
    "max-age, twice: the first": Case({"cache-control": "max-age=10, max-age=600"}, 20, used=False),
    "max-age beats Expires": Case(
        {"cache-control": "max-age=10", "expires": http_date(NOON + 600)}, 20, used=False
    ),
    "s-maxage is for shared caches": Case(
        {"cache-control": "s-maxage=0, max-age=600"}, 599, used=True
    ),
    "s-maxage alone": Case({"cache-control": "s-maxage=600"}, 1, used=False),
    "private": Case({"cache-control": "private, max-age=600"}, 599, used=True),
    "a max-age inside of another value": Case(
        {"cache-control": 'extension="max-age=600"'}, 1, used=False
    ),
    "Expires, young": Case({"expires": http_date(NOON + 600)}, 599, used=True),
    "Expires, of age": Case({"expires": http_date(NOON + 600)}, 600, used=False),
    "Expires is counted from Date": Case(
        {"expires": http_date(NOON + 600), "date": http_date(NOON + 550)}, 60, used=False
    ),
    "Expires: 0": Case({"expires": "0"}, 0, used=False),
    "Expires, a year too many": Case({"expires": "Sun, 06 Nov 99999 08:49:37 GMT"}, 0, used=False),
    "nothing said": Case({}, 0, used=False),
    "nothing is guessed from Last-Modified": Case(
        {"last-modified": MODIFIED}, 0, used=False, conditions={"if-modified-since": MODIFIED}
    ),
    "public alone": Case({"cache-control": "public"}, 0, used=False),
    "Age, young": Case({"cache-control": "max-age=600", "age": "500"}, 99, used=True),
    "Age, of age": Case({"cache-control": "max-age=600", "age": "500"}, 100, used=False),
    "Age, no number": Case({"cache-control": "max-age=600", "age": "old"}, 599, used=True),
    "an old Date": Case(
        {"cache-control": "max-age=600", "date": http_date(NOON - 500)}, 100, used=False
    ),
    "a Date to come": Case(
        {"cache-control": "max-age=600", "date": http_date(NOON + 500)}, 599, used=True
    ),
    "no sensible Date": Case({"cache-control": "max-age=600", "date": "today"}, 599, used=True),
    "the time on the way counts": Case({"cache-control": "max-age=600"}, 590, used=False, takes=10),
    "no-cache": Case(
        {"cache-control": "no-cache, max-age=600", "etag": '"1"'},
        0,
        used=False,
        conditions={"if-none-match": '"1"'},
    ),
    "no-cache with a field": Case(
        {"cache-control": 'no-cache="set-cookie", max-age=600'}, 0, used=False
    ),
    "must-revalidate, young": Case(
        {"cache-control": "max-age=600, must-revalidate"}, 599, used=True
    ),
    "Vary on what is always the same": Case(
        {"cache-control": "max-age=600", "vary": "Accept, Accept-Encoding"}, 599, used=True
    ),
    "Vary on the login, which is part of the key": Case(
        {"cache-control": "max-age=600", "vary": "Authorization"}, 599, used=True
    ),
    "Vary: *": Case({"cache-control": "max-age=600", "vary": "*"}, 0, used=False),
    "Vary on what changes with crane": Case(
        {"cache-control": "max-age=600", "vary": "Accept, User-Agent"}, 0, used=False
    ),
    "the clock was set back": Case({"cache-control": "max-age=600"}, -86_400, used=False),
    "the clock was set back a little": Case({"cache-control": "max-age=600"}, -2, used=True),
    "both validators": Case(
        {"etag": 'W/"1"', "last-modified": MODIFIED},
        1,
        used=False,
        conditions={"if-none-match": 'W/"1"', "if-modified-since": MODIFIED},
    ),
    # A Crane server answers a request with If-None-Match with the whole page.
    "no ETag, so no If-None-Match": Case(
        {"cache-control": "no-cache", "last-modified": MODIFIED},
        1,
        used=False,
        conditions={"if-modified-since": MODIFIED},
    ),
}


@pytest.mark.parametrize("public", [False, True], ids=["private", "public"])
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_freshness(desk: Desk, case: Case, public: bool) -> None:
    wire = Wire(desk, Reply(case.headers, takes=case.takes))
    asked = {"url": PUBLIC_URL, "index": None} if public else {}
    first = wire.get(**asked)  # type: ignore[arg-type]
    wire.later(case.later, Reply(body=b"new"))

    second = wire.get(**asked)  # type: ignore[arg-type]

    assert second.body == (first.body if case.used else b"new")
    assert not second.stale
    assert wire.asked[0] == {}
    assert wire.asked[1:] == ([] if case.used else [case.conditions])
    if case.later >= 0:
        assert (first.fresh_until > desk.clock.now()) == case.used


NOT_KEPT = {
    "no-store": Reply({"cache-control": "no-store, max-age=600"}),
    "a Crane server's default": Reply(
        {"cache-control": "no-cache, no-store, max-age=0, must-revalidate", "expires": "0"}
    ),
    "404": Reply({"cache-control": "max-age=600"}, status=404),
    "410": Reply({"cache-control": "max-age=600"}, status=410),
    "401": Reply({"cache-control": "max-age=600"}, status=401),
    "403": Reply({"cache-control": "max-age=600"}, status=403),
    "301": Reply({"cache-control": "max-age=600"}, status=301),
    "308": Reply({"cache-control": "max-age=600"}, status=308),
    "500": Reply({"cache-control": "max-age=600"}, status=500),
    "501": Reply({"cache-control": "max-age=600"}, status=501),
    "206": Reply({"cache-control": "max-age=600"}, status=206),
    "an old Crane server's not-found page": Reply(
        {"cache-control": "max-age=600"}, b"<title>Crane - not found</title>"
    ),
    "a login page": Reply({"cache-control": "max-age=600"}, b"<input type='password'>"),
}


@pytest.mark.parametrize("reply", NOT_KEPT.values(), ids=list(NOT_KEPT))
def test_what_is_never_kept(desk: Desk, reply: Reply) -> None:
    wire = Wire(desk, reply, reply)

    answer = wire.get()
    wire.get()

    assert (answer.status, answer.body) == (reply.status, reply.body)
    assert answer.fresh_until == 0
    assert wire.asked == [{}, {}]
    assert desk.entries() == set()


@pytest.mark.parametrize("reply", NOT_KEPT.values(), ids=list(NOT_KEPT))
def test_what_was_kept_goes_when_the_index_says_otherwise(desk: Desk, reply: Reply) -> None:
    """An error is no answer, and a redirect or a part says nothing of the page."""
    wire = Wire(desk, Reply({"cache-control": "max-age=1", "etag": '"1"'}))
    wire.get()
    wire.later(5, reply)
    wire.get()
    stays = reply.status in {206, 301, 308, 500, 501} or b"password" in reply.body
    assert (desk.pages.read(PageKey(URL, "1234:ada")) is not None) == stays


def test_a_304_brings_new_headers_and_the_old_body(desk: Desk) -> None:
    wire = Wire(desk, Reply({"cache-control": "max-age=60", "etag": '"1"', "age": "50"}))
    first = wire.get()
    wire.later(60, Reply({"cache-control": "max-age=600", "content-type": "x/y"}, status=304))

    second = wire.get()
    wire.later(599)
    third = wire.get()
    wire.later(1, Reply(status=304))
    wire.get()

    assert wire.asked == [{}, {"if-none-match": '"1"'}, {"if-none-match": '"1"'}]
    assert first.body == second.body == third.body
    assert second.status == 200
    assert second.content_type == third.content_type == "text/html"
    assert second.fresh_until == NOON + 660
    assert third.headers["age"] == "599"


@pytest.mark.parametrize(
    "headers",
    [{"etag": '"2"'}, {"last-modified": http_date(NOON)}],
    ids=["another ETag", "another Last-Modified"],
)
def test_a_304_for_another_page_counts_for_nothing(desk: Desk, headers: dict[str, str]) -> None:
    """RFC 9111 §4.3.4: then the page is fetched whole."""
    wire = Wire(desk, Reply({"etag": '"1"', "last-modified": MODIFIED}))
    wire.get()
    wire.later(1, Reply(headers, status=304), Reply(body=b"new"))

    assert wire.get().body == b"new"
    assert wire.asked[2] == {}


def test_a_304_from_behind_another_redirect_counts_for_nothing(desk: Desk) -> None:
    wire = Wire(desk, Reply({"etag": '"1"'}, url=URL + "here/"))
    wire.get()
    wire.later(1, Reply(status=304, url=URL + "there/"), Reply(body=b"new"))

    assert wire.get().body == b"new"


def test_a_304_that_nobody_asked_for_is_handed_on(desk: Desk) -> None:
    wire = Wire(desk, Reply(status=304))

    assert wire.get().status == 304
    assert len(wire.asked) == 1


def test_a_304_with_no_store_ends_the_keeping(desk: Desk) -> None:
    wire = Wire(desk, Reply({"etag": '"1"'}))
    first = wire.get()
    wire.later(1, Reply({"cache-control": "no-store"}, status=304))

    second = wire.get()

    assert second.body == first.body
    assert second.fresh_until == 0
    assert desk.entries() == set()


def test_a_new_page_takes_the_place_of_the_old_one(desk: Desk) -> None:
    wire = Wire(desk, Reply({"etag": '"1"'}))
    wire.get()
    wire.later(1, Reply({"etag": '"2"', "cache-control": "max-age=60"}, b"new"))
    wire.get()

    assert wire.get().body == b"new"
    assert len(desk.entries()) == 1


def test_a_page_from_the_cache_says_its_age(desk: Desk) -> None:
    wire = Wire(desk, Reply({"cache-control": "max-age=600", "age": "100"}))
    wire.get()
    wire.later(50)

    assert wire.get().headers["age"] == "150"


def test_no_cookie_of_a_login_is_kept(desk: Desk) -> None:
    wire = Wire(desk, Reply({"set-cookie": "session=secret", "etag": '"1"', "x-other": "y"}))
    wire.get()
    page = desk.pages.read(PageKey(URL, "1234:ada"))
    assert page is not None
    assert page.headers.keys() == {"content-type", "date", "etag"}


@pytest.mark.parametrize(("max_age", "used"), [(0, False), (49, False), (50, True), (None, True)])
def test_the_caller_may_want_it_younger(desk: Desk, max_age: float | None, used: bool) -> None:
    """As pip does with `Cache-Control: max-age=0`."""
    wire = Wire(desk, Reply({"cache-control": "max-age=600"}))
    wire.get()
    wire.later(50, Reply(body=b"new"))

    assert (wire.get(max_age=max_age).body != b"new") == used  # type: ignore[arg-type]


def test_a_private_page_is_news_whatever_its_index_allows(desk: Desk) -> None:
    """Ten seconds: who may answer for a name hangs on it, and a new version is seen at once."""
    wire = Wire(desk, Reply({"cache-control": "max-age=600"}), private_max_age=10.0)
    assert wire.get().fresh_until == NOON + 10
    wire.later(9)
    assert wire.get().fresh_until == NOON + 10
    wire.later(1, Reply({"etag": '"2"'}))
    wire.get()
    assert len(wire.asked) == 2

    wire.later(0, Reply({"cache-control": "max-age=600"}))
    assert wire.get(PUBLIC_URL, None).fresh_until == wire.clock.now() + 600


def test_a_page_that_is_longer_than_what_is_wanted_is_fetched(desk: Desk) -> None:
    wire = Wire(desk, Reply({"cache-control": "max-age=600"}, b"x" * 2000))
    wire.get()
    wire.script.replies.append(Reply(body=b"short"))
    assert asyncio.run(wire.pages.page(URL, 1000, INDEX)).body == b"short"
