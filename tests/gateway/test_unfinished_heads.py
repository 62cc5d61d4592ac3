"""A connection on which no whole request comes is not held for ever."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from gateway.upstream import SECONDS
from uvicorn.server import ServerState

from crane_core.gateway.connection import GatewayProtocol
from crane_core.gateway.finished import Finished, FinishedAnswers

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from gateway.harness import Home

    from crane_core.config.model import Index

LIMIT = GatewayProtocol.head_seconds
WHOLE = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
HALF, REST = WHOLE[:20], WHOLE[20:]


@dataclass
class Timer:
    """Something that is due."""

    when: float
    callback: Callable[..., None]
    arguments: tuple[object, ...]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


@dataclass
class Loop:
    """An event loop whose time a test moves, and whose tasks are run at once."""

    now: float = 0.0
    timers: list[Timer] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[..., None], *arguments: object) -> Any:
        timer = Timer(self.now + seconds, callback, arguments)
        self.timers.append(timer)
        return timer

    def create_task(self, work: Coroutine[Any, Any, None], **_: object) -> Any:
        with pytest.raises(StopIteration):
            work.send(None)
        return Done()

    def passes(self, seconds: float) -> None:
        """Let time pass, and what falls due happen."""
        end = self.now + seconds
        while due := self.due(end):
            self.timers.remove(due[0])
            self.now = due[0].when
            due[0].callback(*due[0].arguments)
        self.now = end

    def due(self, end: float = float("inf")) -> list[Timer]:
        """Return what is still to happen until then, in order."""
        waiting = [timer for timer in self.timers if not timer.is_cancelled and timer.when <= end]
        return sorted(waiting, key=lambda timer: timer.when)


class Done:
    """A task that has ended."""

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        callback(self)


@dataclass
class Wire:
    """The transport of a connection."""

    sent: bytes = b""
    is_closed: bool = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer at once."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class Tool:
    """A tool at the other end of a connection."""

    def __init__(self) -> None:
        config = uvicorn.Config(
            app, http=GatewayProtocol, ws="none", log_config=None, timeout_keep_alive=75
        )
        config.load()
        self.loop, self.wire = Loop(), Wire()
        state = ServerState()
        state.default_headers = [(b"date", b"Mon, 06 Jul 2026 10:00:00 GMT")]
        self.protocol = GatewayProtocol(config, state, {}, self.loop)  # type: ignore[arg-type]
        self.protocol.connection_made(self.wire)

    def sends(self, data: bytes) -> None:
        self.protocol.data_received(data)


def test_a_head_that_does_not_end_is_a_408() -> None:
    tool = Tool()
    tool.sends(HALF)
    tool.loop.passes(LIMIT - 1)
    tool.sends(HALF[:2])
    assert not tool.wire.is_closed
    tool.loop.passes(2)
    assert tool.wire.is_closed
    assert tool.wire.sent.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"\r\ndate: " in tool.wire.sent
    assert tool.wire.sent.endswith(b"\r\n\r\n")


def test_a_connection_on_which_nothing_comes_is_closed_without_a_word() -> None:
    tool = Tool()
    tool.loop.passes(LIMIT - 1)
    assert not tool.wire.is_closed
    tool.loop.passes(2)
    assert tool.wire.is_closed
    assert tool.wire.sent == b""


def test_a_head_that_comes_in_time_is_answered() -> None:
    tool = Tool()
    tool.sends(HALF)
    tool.loop.passes(LIMIT - 1)
    tool.sends(REST)
    assert tool.wire.sent.startswith(b"HTTP/1.1 200 OK\r\n")
    tool.loop.passes(3)
    assert not tool.wire.is_closed


def test_a_later_head_is_waited_for_as_well_but_not_for_ever() -> None:
    tool = Tool()
    tool.sends(WHOLE)
    tool.loop.passes(LIMIT / 2)
    tool.sends(HALF)
    tool.loop.passes(LIMIT)
    assert not tool.wire.is_closed
    tool.loop.passes(LIMIT)
    assert tool.wire.is_closed
    assert b"HTTP/1.1 408 " in tool.wire.sent


def test_heads_that_are_unfinished_at_each_look_but_others_each_time_are_served() -> None:
    tool = Tool()
    tool.sends(WHOLE + HALF)
    for count in range(2, 7):
        tool.loop.passes(LIMIT)
        assert not tool.wire.is_closed
        tool.sends(REST)
        assert tool.wire.sent.count(b"HTTP/1.1 200 OK") == count
        tool.sends(HALF)


def test_an_idle_connection_is_left_to_keep_alive() -> None:
    tool = Tool()
    tool.sends(WHOLE)
    tool.loop.passes(tool.protocol.timeout_keep_alive - 1)
    assert not tool.wire.is_closed
    tool.loop.passes(2)
    assert tool.wire.is_closed
    assert b"408" not in tool.wire.sent


def test_an_answer_that_is_given_again_keeps_its_connection() -> None:
    tool = Tool()
    given = Finished(b"HTTP/1.1 200 OK\r\n", b"", lambda: True, lambda: None)
    tool.protocol._finished = FinishedAnswers()
    tool.protocol._finished.keep(WHOLE, given)
    tool.sends(WHOLE)
    tool.protocol._connection.trusted = True
    timers = len(tool.loop.timers)
    for _ in range(3):
        tool.loop.passes(tool.protocol.timeout_keep_alive - 1)
        tool.sends(WHOLE)
        assert not tool.wire.is_closed
    assert tool.wire.sent.count(b"HTTP/1.1 200 OK") == 4
    assert len(tool.loop.due()) <= timers, "no timer for each"
    tool.loop.passes(tool.protocol.timeout_keep_alive - 1)
    assert not tool.wire.is_closed
    tool.loop.passes(2)
    assert tool.wire.is_closed


def test_an_answer_under_way_is_not_cut_off_for_the_half_of_a_next_request() -> None:
    tool = Tool()
    tool.sends(WHOLE)
    tool.protocol.cycle.response_complete = False
    tool.sends(HALF)
    tool.loop.passes(10 * LIMIT)
    assert b"408" not in tool.wire.sent


def test_a_request_needs_no_timer_of_its_own() -> None:
    tool = Tool()
    for _ in range(10):
        tool.sends(WHOLE)
        assert len(tool.loop.due()) == 2, "this one, and keep-alive"


def test_nothing_is_left_of_a_connection_that_has_ended() -> None:
    tool = Tool()
    tool.protocol.connection_lost(None)
    assert tool.loop.due() == []


def test_through_a_real_socket(home: Home, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GatewayProtocol, "head_seconds", 0.05)
    with (
        home.serve(index) as gate,
        socket.create_connection(("127.0.0.1", gate.port), timeout=SECONDS) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\n")
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 408 ")
