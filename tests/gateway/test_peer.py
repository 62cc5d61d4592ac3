"""Whose a connection is: the kernel is asked about it, or its table is read, with one result."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import pytest

from crane_core.gateway import peer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells, others do not")
NOBODY = 65534
WAYS: list[Callable[[tuple[str, int], tuple[str, int]], int | None]] = [peer._asked, peer._listed]


@contextlib.contextmanager
def connected(address: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give both ends of a connection, the server's first."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        socket.create_server((address, 0), family=family) as listener,
        socket.create_connection(listener.getsockname()[:2]) as client,
    ):
        server, _ = listener.accept()
        with server:
            yield server, client


def ends(server: socket.socket) -> tuple[tuple[str, int], tuple[str, int]]:
    """Return the addresses of a connection, the other end's first."""
    return server.getpeername()[:2], server.getsockname()[:2]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.4.5", "::1"])
def test_a_connection_of_ours_is_ours(
    address: str, way: Callable[[tuple[str, int], tuple[str, int]], int | None]
) -> None:
    with connected(address) as (server, _):
        assert way(*ends(server)) == os.getuid()
        assert peer.peer_uid(*ends(server)) == os.getuid()


# What a stranger may do with a connection to hide whose it is.
TRICKS: dict[str, tuple[Callable[[int], socket.socket], bool, int]] = {
    "none": (lambda port: socket.create_connection(("127.0.0.1", port)), False, NOBODY),
    "half closed": (lambda port: half_closed(port), False, NOBODY),
    # Linux would say that it is root's.
    "closed": (lambda port: half_closed(port), True, peer.GONE),
    "IPv4 by IPv6": (lambda port: by_ipv6(port), False, NOBODY),
}


def half_closed(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.shutdown(socket.SHUT_WR)
    return connection


def by_ipv6(port: int) -> socket.socket:
    connection = socket.socket(socket.AF_INET6)
    connection.connect(("::ffff:127.0.0.1", port))
    return connection


@pytest.mark.skipif(
    sys.platform != "linux" or os.getuid() != 0, reason="only root can become another user"
)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("trick", TRICKS)
def test_a_connection_of_another_user_is_theirs(
    trick: str, way: Callable[[tuple[str, int], tuple[str, int]], int | None]
) -> None:
    connect, is_closed, expected = TRICKS[trick]
    "localhost".encode("idna")  # what Python imports late might be out of that user's reach
    with socket.create_server(("127.0.0.1", 0)) as listener:
        mine, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            os.setuid(NOBODY)
            connection = connect(listener.getsockname()[1])
            if is_closed:
                connection.close()
            theirs.send(b"x")
            theirs.recv(1)
            os._exit(0)
        with mine, theirs:
            try:
                server, _ = listener.accept()
                with server:
                    mine.recv(1)  # it has done what it does
                    assert way(*ends(server)) == expected
            finally:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def test_where_the_kernel_may_not_be_asked_its_table_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(peer, "_asked", refused)
    with connected("127.0.0.1") as (server, _):
        assert peer.peer_uid(*ends(server)) == os.getuid()


def test_a_connection_that_there_is_not_is_nobodys() -> None:
    assert peer.peer_uid(("127.0.0.1", 1), ("127.0.0.1", 2)) is None
