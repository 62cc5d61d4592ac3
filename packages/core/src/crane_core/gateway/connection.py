"""The listener's side of one connection: what ASGI has no words for.

Tools show an HTTP reason phrase to their users, so it carries our reason; ASGI has no field for
it. The protocol below hands the application a `Connection` through `scope["extensions"]`.
"""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from crane_core.gateway.peer import peer_uid
from crane_core.gateway.request_ids import FIELD, current, new_id

if TYPE_CHECKING:
    from asyncio import TimerHandle
    from collections.abc import Callable

    from crane_core.gateway.finished import Finished, FinishedAnswers

LONGEST_HEAD = 64 << 10
HEAD_END = b"\r\n\r\n"
HEAD_SECONDS = 30.0
EXTENSION = "crane.connection"
ABSOLUTE_FORM = "crane.absolute-form"


class Connection:
    """A transport that can replace a status line's reason phrase and break a response off.

    `trusted` is set once the guard has let this connection's user pass. `request` is the whole
    head of the request under way, if it arrived alone and in one piece; `tool` is who is at the
    other end, for whoever works for it.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._reason: bytes | None = None
        self._holds = False
        self._held = b""
        self._uid: tuple[int | None] | None = None
        self.trusted = False
        self.request: bytes | None = None
        self.when_closed: list[Callable[[], None]] = []
        self.tool: object = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def set_reason(self, reason: str) -> None:
        """Use this reason phrase for the next response (RFC 9112 §4)."""
        self._reason = reason.encode("ascii", "replace")

    def hold_head(self) -> None:
        """Send the next response's head together with its body, which is there already.

        The loop writes each piece at once: that would be two system calls, and two packets.
        """
        self._holds = True

    def write(self, data: bytes) -> None:
        """Write, with the reason phrase in the head of the response that was announced."""
        if self._reason is not None and data.startswith(b"HTTP/1.1 "):
            head, separator, rest = data.partition(b"\r\n")
            data = head[:13] + self._reason + separator + rest
            self._reason = None
        if self._holds:
            self._holds, self._held = False, data
            return
        if self._held:
            data, self._held = self._held + data, b""
        self._transport.write(data)

    def fail_page(self, reason: str) -> None:
        """Answer an index page so that pip stops and shows `reason`.

        pip passes over a page that has an error status, in silence, and goes on with its next
        index: a private name would be taken from there. A body that breaks off where a chunk
        size is due ends every pip (22.2 to 26.3 tried), and pip prints the line it found there, up
        to a semicolon.
        """
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ndate: " + formatdate(usegmt=True).encode() + b"\r\n"
            b"content-type: text/html\r\ncache-control: no-store\r\n"
            b"x-request-id: " + current().encode() + b"\r\n"
            b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
            + reason.replace(";", ",").encode("ascii", "replace")
            + b"\r\n"
        )
        self._transport.close()

    def peer_uid(self) -> int | None:
        """Return the user at the other end, where the system tells; asked once a connection."""
        if self._uid is None:
            peer = self._transport.get_extra_info("peername")
            own = self._transport.get_extra_info("sockname")
            self._uid = (peer_uid(peer[:2], own[:2]) if peer and own else None,)
        return self._uid[0]


class GatewayProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol, with a `Connection` in each request's scope.

    A request that was answered before, byte for byte, is answered here where that answer may
    still be given, without a parser, a task or an application in between.
    """

    # How long a connection may be without a whole head of a request, in seconds.
    head_seconds = HEAD_SECONDS

    _connection: Connection
    _finished: FinishedAnswers | None = None
    _head_size = 0
    _last = b""  # the last bytes of an unfinished head: its end may come in two parts
    _in_head = True
    _messages = 0
    _whole_heads = 0
    _given_at = float("-inf")  # the loop's time
    # What an answer that is given again needs, made before it is asked for.
    _dated_by: object = None
    _date = b""
    _next_id = b""
    _written_by: Callable[[bytes], None]
    # Which head was not whole at the last look, by its number; at first there is none.
    _unfinished: int | None = 0
    _look: TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Put our wrapper between the protocol and its transport."""
        self._connection = Connection(transport)
        self._written_by = cast("Any", transport).write
        self._next_id = _id_field()
        self._finished = getattr(self.app, "finished", None)
        super().connection_made(cast("Any", self._connection))
        self._look = self.loop.call_later(self.head_seconds, self._look_for_head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever works for this connection's tool that it has left."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)
        for callback in self._connection.when_closed:
            callback()

    def data_received(self, data: bytes) -> None:
        """Answer at once what has been answered before; else parse.

        A request whose head has no end is refused; uvicorn's parser has no limit of its own.
        """
        cycle: Any = self.cycle
        between = self._in_head and self._head_size == 0
        is_done = cycle is None or cycle.response_complete
        is_idle = between and is_done and not self.flow.write_paused
        if is_idle and self._finished is not None and self._connection.trusted:
            finished = self._finished.get(data)
            if finished is not None:
                self._give(finished)
                return
        if self._in_head:
            self._head_size += self._part_of_head(data)
            if self._head_size > LONGEST_HEAD:
                self._refuse_head()
                return
        self._messages = 0
        super().data_received(data)
        is_whole = is_idle and self._messages == 1 and self._in_head and self.cycle is not None
        self._connection.request = data if is_whole and self.cycle.keep_alive else None

    def _part_of_head(self, data: bytes) -> int:
        """Return how much of what came belongs to the head; a body may come along with it."""
        before, self._last = self._last, (self._last + data[-3:])[-3:]
        if (end := (before + data[:3]).find(HEAD_END)) >= 0:
            return end + len(HEAD_END) - len(before)
        end = data.find(HEAD_END)
        return len(data) if end < 0 else end + len(HEAD_END)

    def _give(self, finished: Finished) -> None:
        """Give an answer again; what need not be done before it is written is done after.

        The tool works meanwhile, on another core.
        """
        fields = self.server_state.default_headers
        if fields is not self._dated_by:  # uvicorn makes them anew each second
            self._dated_by = fields
            self._date = b"".join(b"%s: %s\r\n" % each for each in fields if each[0] == b"date")
        pieces = finished.head, self._date, self._next_id, finished.body
        self._written_by(b"".join(pieces))
        self._next_id = _id_field()
        finished.given()
        self.server_state.total_requests += 1
        self._given_at = self.loop.time()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that is idle; it is looked at again where something was given since.

        So that an answer that is given again needs no timer of its own.
        """
        left = self._given_at + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            again = self.loop.call_later(left, self.timeout_keep_alive_handler)
            self.timeout_keep_alive_task = again
        else:
            super().timeout_keep_alive_handler()

    def _refuse_head(self) -> None:
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            self.send_400_response("The head of the request is too long.")
        else:
            self.transport.abort()  # an answer is under way; nothing fits into it

    def _look_for_head(self) -> None:
        """Close the connection if a head of a request does not come to its end.

        It is looked at now and then, so that no request needs a timer of its own: the first head
        has `head_seconds`, a later one up to twice as long. Between requests uvicorn watches.
        """
        unfinished = self._whole_heads if self._waits_for_head() else None
        if unfinished is not None and unfinished == self._unfinished:
            self._refuse_to_wait()
            return
        self._unfinished = unfinished
        self._look = self.loop.call_later(self.head_seconds, self._look_for_head)

    def _waits_for_head(self) -> bool:
        cycle: Any = self.cycle
        if cycle is None:
            return True
        return self._in_head and self._head_size > 0 and bool(cycle.response_complete)

    def _refuse_to_wait(self) -> None:
        if self._head_size:
            fields = [b"%s: %s\r\n" % field for field in self.server_state.default_headers]
            # RFC 9110 §15.5.9.
            head = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n"
            self.transport.write(b"".join((head, *fields, b"\r\n")))
        self.transport.close()

    def on_headers_complete(self) -> None:
        """Stop counting."""
        self._in_head, self._head_size, self._last = False, 0, b""
        self._whole_heads += 1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Count again, for the next request of the connection."""
        self._in_head = True
        super().on_message_complete()

    def on_message_begin(self) -> None:
        """Start a request's scope."""
        self._messages += 1
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)["extensions"] = {EXTENSION: self._connection}

    def on_url(self, url: bytes) -> None:
        """Note a request for another host's URL (RFC 9112 §3.2.2); ASGI drops that host."""
        super().on_url(url)
        if not self.url.startswith(b"/"):
            cast("dict[str, Any]", self.scope)["extensions"][ABSOLUTE_FORM] = self.url


def _id_field() -> bytes:
    return b"%s: %s\r\n\r\n" % (FIELD, new_id().encode())
