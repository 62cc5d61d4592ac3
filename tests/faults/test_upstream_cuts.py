"""The index breaks off in each class of byte: never half a page or file, and a reason if it fits.

A server made of sockets sends the first bytes of an answer, then closes, resets or goes silent.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2
import pytest
from gateway.harness import Gate, Home, index_of
from support.world import World

import crane_core.gateway.answers as answers_module

PAGE = b'<!DOCTYPE html><title>Links for x</title><a href="x-1.0.zip">x-1.0.zip</a>'
CONTENT = bytes(range(256)) * 40
SIZED = b'HTTP/1.1 200 OK\r\ncontent-type: %s\r\netag: W/"1"\r\ncontent-length: %d\r\n\r\n%s'
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n%s"
LIMIT = 20.0


def sized(kind: bytes, body: bytes) -> bytes:
    return SIZED % (kind, len(body), body)


def chunked(kind: bytes, body: bytes) -> bytes:
    half = len(body) // 2
    parts = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:half], body[half:], b""))
    return CHUNKED % (kind, parts)


def places(answer: bytes) -> dict[str, int]:
    """Return where an answer is cut, for each class of byte."""
    head = answer.index(b"\r\n\r\n")
    body = head + 4
    found = {
        "before anything": 0,
        "in the version": 5,
        "in the status": 11,
        "in the line end of the status line": answer.index(b"\r\n") + 1,
        "in a field name": answer.index(b"content-type") + 4,
        "in a field value": answer.index(b"200 OK\r\ncontent-type: ") + 25,
        "after a field": answer.index(b"\r\n", answer.index(b"content-type")) + 2,
        "before the blank line": head + 2,
        "in the blank line": head + 3,
        "between head and body": body,
        "mid-body": body + (len(answer) - body) // 2,
        "before the last byte": len(answer) - 1,
    }
    if b"chunked" in answer:
        found |= {
            "in a chunk's size": body + 1,
            "in the line end of a chunk's size": answer.index(b"\r\n", body) + 1,
            "before the last chunk": answer.rindex(b"0\r\n\r\n"),
            "in the last chunk's size": answer.rindex(b"0\r\n\r\n") + 1,
        }
    else:
        found["after the body's first byte"] = body + 1
    return found


@dataclass
class Breaking:
    """An index whose answers are bytes, of which the first ones are sent, and how it ends then.

    A path that is not in `cuts` is answered whole.
    """

    answers: dict[str, bytes] = field(default_factory=dict)
    cuts: dict[str, tuple[int, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    opened: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def serve(self) -> Iterator[str]:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            self.opened.set()
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while head := self._head(connection):
                path = head.split(b" ")[1].decode()
                self.asked.append(path)
                answer = self.answers.get(path, b"HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n")
                if head.startswith(b"HEAD "):
                    answer = answer[: answer.index(b"\r\n\r\n") + 4]
                size, end = self.cuts.get(path, (len(answer), "goes on"))
                connection.sendall(answer[:size])
                if end == "waits":
                    self.opened.wait(LIMIT)
                    connection.sendall(answer[size:])
                elif end == "resets":
                    connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
                if end in {"resets", "closes"}:
                    return

    @staticmethod
    def _head(connection: socket.socket) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            data = connection.recv(4096)
            if not data:
                return b""
            head += data
        return head


@dataclass(frozen=True)
class Bench:
    index: Breaking
    gate: Gate
    world: World

    def read(self, url: str) -> tuple[int, bytes, str]:
        """Return status, body and reason; status 0 for an answer that is not whole."""
        try:
            answer = self.gate.get(url)
        except httpx2.TransportError as error:
            return 0, b"", str(error)
        return answer.status_code, answer.content, answer.reason_phrase

    def asked_public(self) -> list[str]:
        return [r.path for r in self.world.public_server.requests if "/cut" in r.path]


@pytest.fixture
def bench(world: World, home: Home) -> Iterator[Bench]:
    index = Breaking({"/python/": sized(b"text/html", b"<title>Simple index</title>")})
    with index.serve() as url:
        registered = index_of(world, url=f"{url}/python")
        home.login(registered)
        with home.serve(registered) as gate:
            yield Bench(index, gate, world)


FORMS: dict[str, Callable[[bytes, bytes], bytes]] = {"sized": sized, "chunked": chunked}


@pytest.mark.parametrize("end", ["closes", "resets"])
@pytest.mark.parametrize("form", FORMS)
def test_a_page_that_is_cut_is_an_error_with_a_reason(bench: Bench, form: str, end: str) -> None:
    answer = FORMS[form](b"text/html", PAGE)
    for number, (place, size) in enumerate(places(answer).items()):
        name = f"cut{number}"
        path = f"/python/{name}/"
        bench.index.answers[path] = answer
        bench.index.cuts[path] = size, end
        status, body, reason = bench.read(f"/python/simple/{name}/")
        assert status in {502, 504}, (place, status, body)
        assert reason.startswith("crane: "), (place, reason)
        assert body.startswith(b"crane: "), place
        assert 1 < bench.index.asked.count(path) <= 6, place
        del bench.index.cuts[path]
        status, body, _ = bench.read(f"/python/simple/{name}/")
        assert (status, b"x-1.0.zip" in body) == (200, True), place
    assert bench.asked_public() == []


@pytest.mark.parametrize("end", ["closes", "resets"])
@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_cut_is_never_taken_for_whole(bench: Bench, form: str, end: str) -> None:
    answer = FORMS[form](b"application/zip", CONTENT)
    begins = answer.index(b"\r\n\r\n") + 4
    for number, (place, size) in enumerate(places(answer).items()):
        path = f"/python/cut/cut-{number}.zip"
        bench.index.answers[path] = answer
        bench.index.cuts[path] = size, end
        url = f"/python/files/python/cut/cut-{number}.zip"
        status, body, reason = bench.read(url)
        if size < begins:
            assert status in {502, 504}, (place, status)
            assert reason.startswith("crane: "), (place, reason)
            assert body.startswith(b"crane: "), place
        else:
            assert status == 0 or (status, body[:7]) in {(502, b"crane: "), (504, b"crane: ")}, (
                place, status, reason,
            )  # fmt: skip
        del bench.index.cuts[path]
        assert bench.read(url)[:2] == (200, CONTENT), place
        # What is kept is the whole file: nobody is asked again.
        assert bench.read(url)[1] == CONTENT, place
    assert bench.asked_public() == []


def test_an_index_that_is_suspended_in_mid_body(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page ends in time with a reason; a file goes on where it stood; nobody else waits."""
    monkeypatch.setattr(answers_module, "PAGE_SECONDS", 0.5)
    content = CONTENT * 40  # more than what is held back until the hash is known
    page, file = sized(b"text/html", PAGE), sized(b"application/zip", content)
    path = "/python/cut/cut-1.zip"
    bench.index.answers |= {"/python/cut/": page, path: file, "/python/ok/": page}
    bench.index.cuts = {"/python/cut/": (len(page) - 5, "waits"), path: (len(file) - 5, "waits")}
    status, _, reason = bench.read("/python/simple/cut/")
    assert status == 504
    assert "did not answer in" in reason

    with bench.gate.http.stream(
        "GET", f"{bench.gate.url}/python/files/python/cut/cut-1.zip"
    ) as answer:
        pieces = answer.iter_raw()
        came = next(pieces)
        assert bench.read("/python/simple/ok/")[0] == 200
        bench.index.opened.set()
        assert came + b"".join(pieces) == content
    assert bench.asked_public() == []
