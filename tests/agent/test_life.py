"""When views are closed and when an agent leaves, with a clock that the test moves."""

from __future__ import annotations

import time

import pytest
from agent.kit import Bench

from crane_core.agent.life import idle_seconds
from crane_core.agent.registry import LONGEST_WITHOUT_OWNER
from crane_core.errors import AgentTrouble, NotRegistered, UsageError
from crane_core.gateway.views import Wish


def bundle(bench: Bench, name: str) -> bool:
    """Whether a view's file is there."""
    return bench.place.bundle(name).exists()


def opened(bench: Bench, wish: Wish, join: str | None = None) -> str:
    """Open a view, write its file as its client would, and return its name."""
    bench.place.prepare(time.time())
    name = bench.registry.open(wish, join).name
    bench.place.bundle(name).write_text("PEM")
    return name


def test_a_view_ends_with_its_process(bench: Bench) -> None:
    name, other = opened(bench, Wish(owner=1)), opened(bench, Wish(owner=2))
    bench.registry.sweep()
    assert not bench.views.closed

    del bench.processes[1]
    bench.registry.sweep()

    assert bench.views.closed == [name]
    assert not bundle(bench, name)
    assert bundle(bench, other)


def test_another_process_of_the_same_number_is_not_the_owner(bench: Bench) -> None:
    name = opened(bench, Wish(owner=1))

    bench.processes[1] = "another start"
    bench.registry.sweep()

    assert bench.views.closed == [name]


def test_a_process_that_has_ended_already_gets_no_view(bench: Bench) -> None:
    with pytest.raises(AgentTrouble):
        opened(bench, Wish(owner=77))
    assert not bench.views.opened


def test_a_shared_view_ends_with_the_last_of_its_processes(bench: Bench) -> None:
    name = opened(bench, Wish(owner=1))
    assert opened(bench, Wish(owner=2), join=name) == name

    del bench.processes[1]
    bench.registry.sweep()
    assert not bench.views.closed
    assert bundle(bench, name)

    del bench.processes[2]
    bench.registry.sweep()
    assert bench.views.closed == [name]


@pytest.mark.parametrize(
    "wish",
    [
        Wish(owner=2, indexes=("one",)),
        Wish(owner=2, others=("https://x",)),
        Wish(owner=2, serves_fallback=True),
        Wish(owner=2, proxies={"https": "http://firm:1"}),
        Wish(owner=None),
    ],
)
def test_whoever_wants_something_else_shares_nothing(bench: Bench, wish: Wish) -> None:
    name = opened(bench, Wish(owner=1))

    assert opened(bench, wish, join=name) != name


def test_a_view_of_a_shell_is_not_shared(bench: Bench) -> None:
    name = opened(bench, Wish())

    assert opened(bench, Wish(owner=1), join=name) != name
    assert opened(bench, Wish(owner=1), join="long gone") not in {name, "long gone"}


def test_closing_a_share_leaves_the_others(bench: Bench) -> None:
    name = opened(bench, Wish(owner=1))
    opened(bench, Wish(owner=2), join=name)

    bench.registry.close(name, owner=2)
    assert not bench.views.closed
    bench.registry.close(name, owner=1)

    assert bench.views.closed == [name]


def test_a_view_of_a_shell_ends_after_twelve_hours(bench: Bench) -> None:
    name = opened(bench, Wish())
    bench.clock.time += LONGEST_WITHOUT_OWNER - 1
    bench.registry.sweep()
    assert bench.life.reason_to_leave() is None
    assert not bench.views.closed

    bench.clock.time += 2
    bench.registry.sweep()

    assert bench.views.closed == [name]


def test_a_long_command_keeps_its_view(bench: Bench) -> None:
    opened(bench, Wish(owner=1))
    bench.clock.time += 100 * LONGEST_WITHOUT_OWNER
    bench.registry.sweep()

    assert not bench.views.closed
    assert bench.life.reason_to_leave() is None


def test_the_view_of_a_removed_index_is_closed(bench: Bench) -> None:
    both, one = opened(bench, Wish(owner=1)), opened(bench, Wish(owner=2, indexes=("one",)))

    bench.registry.sweep(frozenset({"https://one.example.com", "https://new.example.com"}))
    assert bench.views.closed == [both]

    bench.registry.sweep(frozenset())
    assert bench.views.closed == [both, one]


def test_an_unknown_index_opens_nothing(bench: Bench) -> None:
    with pytest.raises(NotRegistered):
        opened(bench, Wish(owner=1, indexes=("three",)))
    assert not bench.views.opened


def test_an_idle_agent_leaves_after_its_time(bench: Bench) -> None:
    bench.clock.time += 899
    assert bench.life.reason_to_leave() is None

    bench.clock.time += 1
    assert bench.life.reason_to_leave()


def test_a_view_or_a_request_begins_the_time_anew(bench: Bench) -> None:
    bench.clock.time += 899
    name = opened(bench, Wish(owner=1))
    bench.clock.time += 5_000
    bench.registry.close(name)
    bench.clock.time += 899
    assert bench.life.reason_to_leave() is None
    bench.last_request = bench.clock.time
    bench.clock.time += 899
    assert bench.life.reason_to_leave() is None

    bench.clock.time += 1
    assert bench.life.reason_to_leave()


def test_an_agent_that_nobody_would_find_leaves_with_its_last_view(bench: Bench) -> None:
    name = opened(bench, Wish(owner=1))
    bench.is_current = False
    assert bench.life.reason_to_leave() is None

    bench.registry.close(name)

    assert bench.life.reason_to_leave()


def test_idle_time_can_be_set() -> None:
    assert idle_seconds({}) == 900
    assert idle_seconds({"CRANE_AGENT_IDLE": "2.5"}) == 2.5
    for text in ("soon", "-1", "nan", "inf"):
        with pytest.raises(UsageError):
            idle_seconds({"CRANE_AGENT_IDLE": text})
