"""An index that stops reading in mid-upload, and one that is slow."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from gateway.harness import Home
from idp.oidc import Realm
from publish.kit import encoded, fields_of, guard

from crane_core.config.model import Index
from crane_core.gateway import machinery
from crane_core.gateway.uploads import crane_sink
from crane_core.http import TimeLimits
from crane_devserver.wheels import make_wheel

MIB = 1 << 20
END = b"0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nok"


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a server of nothing but sockets; `serve` gets each connection."""
    held: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            held.append(connection)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.socket() as listener:
        # Small, or all that the system takes for it would have to be waited for.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for connection in held:
                connection.close()


def upload(
    home: Home, realm: Realm, url: str, kind: str, wheel: Path, pause: float = 0.0
) -> httpx2.Response:
    """Upload to such a server; the tool pauses once in the middle."""
    index = Index(
        name="python", url=f"{url}/repo", issuer=realm.issuer, fallback="none", publish=kind,
        upload_layout="{file}",
    )  # fmt: skip
    home.login(index)
    content_type, body = encoded(wheel, fields_of(wheel))

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), MIB):
            yield body[start : start + MIB]
            if start == 12 * MIB:
                threading.Event().wait(pause)  # what makes the tool slow

    headers = {"content-type": content_type, "content-length": str(len(body))}
    with home.serve(index, guard=guard) as gate, httpx2.Client(trust_env=False, timeout=30) as http:
        return http.post(f"{gate.url}/python/legacy/", content=pieces(), headers=headers)


@pytest.mark.parametrize("kind", ["warehouse", "crane"])
def test_an_index_that_stops_reading_is_given_up(
    home: Home, realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(machinery, "UPLOAD_LIMITS", TimeLimits(connect=5, write=0.5, pool=5))
    monkeypatch.setattr(crane_sink, "LEFT_SECONDS", 0.5)
    wheel = make_wheel(tmp_path, "firm-lib", "1.0", size=24 * MIB)
    with listening(lambda connection: None) as url:
        done = upload(home, realm, url, kind, wheel)
    assert done.status_code == 504
    words = "crane: 127.0.0.1 has taken nothing more of the upload for 0.5 s; try again later"
    assert done.reason_phrase.startswith(words)
    assert ("could not be seen" in done.reason_phrase) == (kind == "crane")


def test_neither_a_slow_index_nor_a_slow_tool_is(
    home: Home, realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes longer in all than an index may stand still."""
    limit = 0.8
    monkeypatch.setattr(machinery, "UPLOAD_LIMITS", TimeLimits(connect=5, write=limit, pool=5))
    wheel = make_wheel(tmp_path, "firm-lib", "1.0", size=24 * MIB)
    taken: list[int] = []

    def serve(connection: socket.socket) -> None:
        last, size = b"", 0
        while not last.endswith(END):
            data = connection.recv(1 << 16)
            last, size = (last + data)[-len(END) :], size + len(data)
            threading.Event().wait(len(data) / (16 * MIB))  # what makes the index slow
        taken.append(size)
        connection.sendall(OK)

    with listening(serve) as url:
        began = time.monotonic()
        done = upload(home, realm, url, "warehouse", wheel, pause=2.5 * limit)
        assert time.monotonic() - began > 3 * limit, "it was fast, so this shows nothing"
    assert done.status_code == 200, done.reason_phrase
    assert taken[0] > wheel.stat().st_size
