"""An index that is down, and a user who wants no network: what counts then, for whom, how long."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from cache.kit import (
    ADA,
    BOB,
    INDEX,
    LIMIT,
    NOON,
    PUBLIC_URL,
    URL,
    Desk,
    Reply,
    Wire,
    http_date,
)

from crane_core.cache.settings import DEFAULT_STALE_LIMIT
from crane_core.errors import (
    ClockSkew,
    CraneError,
    IndexBroken,
    IndexRefused,
    IndexUnreachable,
    LoginNeeded,
    ProviderUnreachable,
)

DAY = 86_400.0
KEPT = {"cache-control": "max-age=60", "etag": '"1"'}
OLD = b"<a href='acme-1.0.whl'>acme-1.0.whl</a>"

DOWN = {
    "no answer": IndexUnreachable("no answer"),
    "no answer from the provider": ProviderUnreachable("no answer"),
    "500": Reply(status=500),
    "503": Reply(status=503),
    "429": Reply(status=429),
}


@pytest.mark.parametrize("down", DOWN.values(), ids=list(DOWN))
@pytest.mark.parametrize("private", [True, False], ids=["private", "public"])
def test_the_last_answer_counts_while_the_index_is_down(
    desk: Desk, down: Reply | Exception, private: bool
) -> None:
    where = {} if private else {"url": PUBLIC_URL, "index": None}
    wire = Wire(desk, Reply(KEPT))
    wire.get(**where)  # type: ignore[arg-type]
    wire.later(DAY, down)

    answer = wire.get(**where)  # type: ignore[arg-type]

    assert (answer.status, answer.body, answer.stale) == (200, OLD, True)
    assert answer.fresh_until == 0
    assert answer.headers["age"] == f"{DAY:.0f}"
    wire.later(0, Reply(body=b"up again"))
    answer = wire.get(**where)  # type: ignore[arg-type]
    assert (answer.body, answer.stale) == (b"up again", False)


NOT_DOWN: dict[str, CraneError] = {
    "refused": IndexRefused("no"),
    "nobody is logged in": LoginNeeded("log in"),
    "broken": IndexBroken("a redirect to nowhere"),
    "the clock": ClockSkew("an hour off"),
}


@pytest.mark.parametrize("error", NOT_DOWN.values(), ids=list(NOT_DOWN))
def test_an_index_that_says_no_is_not_down(desk: Desk, error: CraneError) -> None:
    wire = Wire(desk, Reply(KEPT))
    wire.get()
    wire.later(DAY, error)
    with pytest.raises(type(error)):
        wire.get()


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_nor_is_one_that_answers_no(desk: Desk, status: int) -> None:
    """Not then, and not later when it is down indeed."""
    wire = Wire(desk, Reply(KEPT))
    wire.get()
    wire.later(DAY, Reply(status=status), IndexUnreachable("down"))
    assert wire.get().status == status
    with pytest.raises(IndexUnreachable):
        wire.get()


@pytest.mark.parametrize(
    ("age", "served"), [(DEFAULT_STALE_LIMIT, True), (DEFAULT_STALE_LIMIT + 1, False)]
)
def test_only_for_a_while(desk: Desk, age: float, served: bool) -> None:
    wire = Wire(desk, Reply(KEPT))
    wire.get()
    wire.later(age - 1, Reply(KEPT))
    wire.get(URL + "other/")  # so that the contact is recent
    wire.later(1, IndexUnreachable("down"))
    if served:
        assert wire.get().stale
    else:
        with pytest.raises(IndexUnreachable):
            wire.get()


@pytest.mark.parametrize("limit", [0.0, 3600.0])
def test_for_as_long_as_the_user_wants(desk: Desk, limit: float) -> None:
    wire = Wire(desk, Reply(KEPT), stale_limit=limit)
    wire.get()
    wire.later(3601, IndexUnreachable("down"))
    with pytest.raises(IndexUnreachable):
        wire.get()


def test_only_to_somebody_whom_the_index_has_let_in(desk: Desk) -> None:
    """The page may be there; without a contact it is not served."""
    wire = Wire(desk, Reply(KEPT), Reply(status=403))
    wire.get()
    wire.get(URL + "forbidden/")
    wire.later(DAY, IndexUnreachable("down"))
    with pytest.raises(IndexUnreachable):
        wire.get()
    wire.later(0, Reply(KEPT), IndexUnreachable("down"))
    wire.get(URL + "allowed/")
    assert wire.get().stale


def test_a_contact_of_the_future_is_none(desk: Desk) -> None:
    wire = Wire(desk, Reply(KEPT))
    wire.get()
    desk.contacts.note(INDEX.token_prefix, ADA, NOON + 30 * DAY)
    wire.later(DAY, IndexUnreachable("down"))
    with pytest.raises(IndexUnreachable):
        wire.get()


FORBIDDING = {
    "must-revalidate": "max-age=60, must-revalidate",
    "no-cache": "no-cache",
    "stale-if-error, over": "max-age=60, stale-if-error=100",
    "stale-if-error, no number": "max-age=60, stale-if-error=soon",
}


@pytest.mark.parametrize("control", FORBIDDING.values(), ids=list(FORBIDDING))
def test_the_index_may_forbid_it(desk: Desk, control: str) -> None:
    """RFC 9111 §4.2.4, RFC 5861 §4."""
    wire = Wire(desk, Reply({"cache-control": control}))
    wire.get()
    wire.later(161, IndexUnreachable("down"))
    with pytest.raises(IndexUnreachable):
        wire.get()


def test_stale_if_error_allows_it_for_its_time(desk: Desk) -> None:
    wire = Wire(desk, Reply({"cache-control": "max-age=60, stale-if-error=100"}))
    wire.get()
    wire.later(160, IndexUnreachable("down"))
    assert wire.get().stale


def test_what_is_not_there_cannot_be_served(desk: Desk) -> None:
    wire = Wire(desk, Reply(status=503), IndexUnreachable("down"))
    assert wire.get().status == 503
    with pytest.raises(IndexUnreachable):
        wire.get()


def offline(desk: Desk, who: str | None = ADA) -> Wire:
    wire = Wire(desk, offline=True)
    wire.who = who
    return wire


@pytest.mark.parametrize("control", ["max-age=60", "no-cache", "max-age=60, must-revalidate"])
def test_offline_the_user_decides(desk: Desk, control: str) -> None:
    """As a browser's back button (RFC 9111 §6), which must-revalidate does not reach."""
    Wire(desk, Reply({"cache-control": control})).get()
    desk.clock.time += DAY
    wire = offline(desk)
    answer = wire.get()
    assert (answer.body, answer.stale) == (OLD, True)
    assert wire.asked == []


def test_offline_a_fresh_page_is_no_stale_one(desk: Desk) -> None:
    Wire(desk, Reply(KEPT)).get()
    desk.clock.time += 59
    assert not offline(desk).get().stale
    desk.clock.time += 1
    assert offline(desk).get().stale


def test_offline_has_the_same_limits(desk: Desk) -> None:
    Wire(desk, Reply(KEPT)).get()
    for who in (BOB, None):
        with pytest.raises(IndexUnreachable):
            offline(desk, who).get()
    desk.clock.time += DEFAULT_STALE_LIMIT + 1
    with pytest.raises(IndexUnreachable):
        offline(desk).get()


def test_offline_after_a_refusal(desk: Desk) -> None:
    wire = Wire(desk, Reply(KEPT), Reply(status=401))
    wire.get()
    wire.get(URL + "other/")
    with pytest.raises(IndexUnreachable):
        offline(desk).get()


@pytest.mark.parametrize(
    ("who", "hint"), [(ADA, "without --offline"), (None, "crane login python")]
)
def test_offline_says_what_to_do(desk: Desk, who: str | None, hint: str) -> None:
    with pytest.raises(IndexUnreachable) as caught:
        offline(desk, who).get()
    assert hint in caught.value.hint
    assert URL in caught.value.message


def test_offline_public_pages_need_no_login(desk: Desk) -> None:
    Wire(desk, Reply(KEPT)).get(PUBLIC_URL, None)
    desk.clock.time += DAY
    assert offline(desk, None).get(PUBLIC_URL, None).stale


KEEPING = replace(INDEX, keep_pages=True)
NO_STORE = {
    "a Crane server's": "no-cache, no-store, max-age=0, must-revalidate",
    "in capitals": "NO-STORE",
    "with a lifetime": "no-store, max-age=600, stale-if-error=1",
}


@pytest.mark.parametrize("control", NO_STORE.values(), ids=list(NO_STORE))
class TestKeepPages:
    """What the user says about an index of theirs; RFC 9111 §5.2.2.5 for everybody else."""

    def test_they_are_kept_for_when_the_index_is_down_or_not_to_be_asked(
        self, desk: Desk, control: str
    ) -> None:
        wire = Wire(desk, Reply({"cache-control": control, "etag": '"1"'}))
        assert wire.get(index=KEEPING).fresh_until <= NOON
        wire.later(DAY, IndexUnreachable("down"))
        assert wire.get(index=KEEPING).stale
        answer = asyncio.run(offline(desk).pages.page(URL, LIMIT, KEEPING))
        assert (answer.body, answer.stale) == (OLD, True)

    def test_while_the_index_answers_they_are_not_used_in_any_way(
        self, desk: Desk, control: str
    ) -> None:
        headers = {"cache-control": control, "etag": '"1"', "last-modified": http_date(NOON)}
        wire = Wire(desk, Reply(headers), Reply(headers, body=b"new"))
        wire.get(index=KEEPING)
        assert wire.get(index=KEEPING).body == b"new"
        assert wire.asked == [{}, {}]

    def test_without_that_word_they_are_not_kept(self, desk: Desk, control: str) -> None:
        wire = Wire(desk, Reply({"cache-control": control}))
        wire.get()
        wire.later(1, IndexUnreachable("down"), IndexUnreachable("down"))
        for index in (INDEX, KEEPING):
            with pytest.raises(IndexUnreachable):
                wire.get(index=index)

    def test_the_word_can_be_taken_back(self, desk: Desk, control: str) -> None:
        wire = Wire(desk, Reply({"cache-control": control}))
        wire.get(index=KEEPING)
        wire.later(1, IndexUnreachable("down"), IndexUnreachable("down"))
        for index in (INDEX, KEEPING):
            with pytest.raises(IndexUnreachable):
                wire.get(index=index)
        assert desk.entries() == set()


@pytest.mark.parametrize("control", ["max-age=60, must-revalidate", "no-cache"])
def test_pages_that_may_be_kept_are_used_as_ever_beside_it(desk: Desk, control: str) -> None:
    """They are confirmed by a 304; while the index is down its user's word counts for them too."""
    kept = {"cache-control": control, "etag": '"1"'}
    wire = Wire(desk, Reply(kept))
    wire.get(index=KEEPING)
    wire.later(61, Reply(kept, status=304), IndexUnreachable("down"))
    assert not wire.get(index=KEEPING).stale
    assert wire.asked[-1] == {"if-none-match": '"1"'}
    wire.later(61)
    assert wire.get(index=KEEPING).stale


def test_a_page_that_turns_to_no_store_with_a_304_stays_for_its_user(desk: Desk) -> None:
    wire = Wire(desk, Reply(KEPT))
    wire.get(index=KEEPING)
    turned = Reply({"cache-control": "no-store", "etag": '"1"'}, status=304)
    wire.later(61, turned, IndexUnreachable("down"))
    assert wire.get(index=KEEPING).body == OLD
    assert wire.get(index=KEEPING).stale


@pytest.mark.parametrize(("own", "served"), [("1h", False), ("2h", True), (None, False)])
def test_an_index_has_a_limit_of_its_own(desk: Desk, own: str | None, served: bool) -> None:
    index = replace(INDEX, stale_limit=own)
    wire = Wire(desk, Reply(KEPT), stale_limit=60.0)
    wire.get(index=index)
    wire.later(3601, IndexUnreachable("down"))
    if served:
        assert wire.get(index=index).stale
    else:
        with pytest.raises(IndexUnreachable):
            wire.get(index=index)
