"""Client and agent: who proves what to whom, and what happens to strangers."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from agent.kit import SECRET, Bench, Stranger

from crane_core.agent import client, protocol
from crane_core.agent.client import AgentLost, Line, connect
from crane_core.agent.runtime import TOUCH_SECONDS, Place, Runtime
from crane_core.agent.start import find
from crane_core.errors import AgentTrouble, LoginNeeded, NotRegistered, UnsafePermissions
from crane_core.gateway.views import Wish
from crane_core.secret import Secret


def test_a_view_is_opened_and_closed(bench: Bench) -> None:
    wish = Wish(("one",), ("https://x/simple",), True, {"https": "http://firm:1"}, 1)
    with bench.connected() as agent:
        view = agent.open_view(wish)
        agent.close_view(view.opened.name)
        agent.close_view(view.opened.name)  # once more is no error

    assert bench.views.opened == [wish]
    assert bench.views.closed == ["view1"]
    assert view.opened.secret == Secret("secret of view1")
    assert view.bundle == str(bench.place.bundle("view1"))
    assert view.port == agent.runtime.port


def test_an_error_of_the_agent_is_the_clients(bench: Bench) -> None:
    with bench.connected() as agent:
        with pytest.raises(NotRegistered, match="three") as raised:
            agent.open_view(Wish(("three",), owner=1))
        assert raised.value.hint
        assert agent.status()["views"] == []  # the line is still good


def test_every_error_survives_the_way() -> None:
    error = protocol.error_from_json(protocol.error_to_json(LoginNeeded("nobody", hint="do it")))

    assert type(error) is LoginNeeded
    assert (error.message, error.hint) == ("nobody", "do it")
    assert type(protocol.error_from_json({"error": {"code": "from the future"}})) is AgentTrouble
    assert type(protocol.error_from_json(None)) is AgentTrouble


def test_logins_are_asked_about(bench: Bench) -> None:
    bench.needed = {"one": "the login has ended"}
    with bench.connected() as agent:
        assert agent.logins_needed(["one", "two"]) == {"one": "the login has ended"}


def test_an_agent_that_is_told_to_stop_opens_nothing_more(bench: Bench) -> None:
    with bench.connected() as agent:
        agent.stop()
        with pytest.raises(AgentLost):  # another one is to be started
            agent.open_view(Wish(owner=1))

    assert bench.ended.is_set()
    assert bench.life.reason_to_leave() == "asked to stop"


def test_the_secret_is_asked_for(bench: Bench) -> None:
    with bench.serving() as runtime, httpx2.Client(trust_env=False) as http:
        url = f"http://127.0.0.1:{runtime.port}/-/agent"
        bearer = {"authorization": f"Bearer {SECRET.reveal()}"}
        for wrong in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic x"}):
            for method, path in (
                ("GET", "status"), ("POST", "stop"), ("POST", "views"), ("POST", "logins"),
                ("DELETE", "views/view1"), ("GET", "no-such-thing"),
            ):  # fmt: skip
                assert http.request(method, f"{url}/{path}", headers=wrong).status_code == 403
        twice = [("authorization", "Bearer wrong"), ("authorization", bearer["authorization"])]
        assert http.get(f"{url}/status", headers=twice).status_code == 403
        assert http.get(f"{url}/status", headers=bearer).status_code == 200
        assert http.get(f"{url}/no-such-thing", headers=bearer).status_code == 404
        own = f"http://127.0.0.1:{runtime.port}/-/"
        assert http.get(own).status_code == 403
        assert http.get(f"{own}metrics").status_code == 403
        assert http.get(f"{own}health").text == "own page"
        assert http.get(own, headers=bearer).text == "own page"
    assert not bench.ended.is_set()


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"wish": 1}', b"\xff", b"x" * (2 << 20)])
def test_nonsense_is_refused(bench: Bench, body: bytes) -> None:
    with bench.serving() as runtime, httpx2.Client(trust_env=False) as http:
        url = f"http://127.0.0.1:{runtime.port}/-/agent"
        bearer = {"authorization": f"Bearer {SECRET.reveal()}"}
        answer = http.post(f"{url}/views", content=body, headers=bearer)
        assert answer.status_code == 400
        assert http.get(f"{url}/hello").status_code == 400
        assert http.get(f"{url}/hello?nonce=short").status_code == 400
    assert not bench.views.opened


def test_fields_of_a_newer_client_are_passed_over(bench: Bench) -> None:
    with bench.serving() as runtime, httpx2.Client(trust_env=False) as http:
        wish = {**Wish(owner=1).to_json(), "from": "the future"}
        answer = http.post(
            f"http://127.0.0.1:{runtime.port}/-/agent/views",
            json={"protocol": 99, "wish": wish, "more": []},
            headers={"authorization": f"Bearer {SECRET.reveal()}"},
        )
    assert answer.status_code == 200


STRANGERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 nonsense\r\nContent-Length: 0\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    b"\0" * 70_000 + b"\r\n\r\n",
]


def hello(proof: str, **more: Any) -> bytes:
    """Return an answer to hello with this proof."""
    value = {"protocol": 1, "oldest": 1, "version": "9", "proof": proof, **more}
    body = json.dumps(value).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.parametrize("answer", [*STRANGERS, hello("0" * 64), hello("")])
def test_a_stranger_on_the_port_learns_nothing(bench: Bench, answer: bytes) -> None:
    stranger = Stranger(answer)
    try:
        with bench.serving() as runtime:
            with pytest.raises(AgentLost):
                connect(replace(runtime, port=stranger.port))
            bench.place.write(replace(runtime, port=stranger.port))
            assert find(bench.place) is None
    finally:
        stranger.close()
    assert stranger.heard
    assert SECRET.reveal().encode() not in stranger.heard
    assert b"authorization" not in stranger.heard.lower()


def test_a_proof_of_another_port_is_none(bench: Bench) -> None:
    """A stranger that hands our question on to the real agent is not believed."""
    with bench.serving() as runtime:
        line = Line(runtime.port, 5)
        status, value = line.ask("GET", "hello?nonce=" + "0" * 32)
        line.close()
        assert status == 200
        right = protocol.proof(SECRET, "0" * 32, runtime.port, 1, 1)
        other = protocol.proof(SECRET, "0" * 32, runtime.port + 1, 1, 1)

    assert value["proof"] == right != other


def test_a_silent_stranger_is_given_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "HELLO_SECONDS", 0.05)
    stranger = Stranger(b"")
    try:
        with bench.serving() as runtime, pytest.raises(AgentLost):
            connect(replace(runtime, port=stranger.port))
    finally:
        stranger.close()


def test_a_file_whose_process_is_gone_is_not_followed(bench: Bench) -> None:
    with bench.serving() as runtime:
        found = find(bench.place)
        assert found is not None
        found.close()
        for stale in (
            replace(runtime, pid=4_000_000),
            replace(runtime, started="another"),
            replace(runtime, machine="another"),
        ):
            bench.place.write(stale)
            assert find(bench.place) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": 1}', b"\xff\xff"])
def test_a_broken_file_is_as_none(bench: Bench, content: bytes) -> None:
    bench.place.prepare(time.time())
    bench.place.file.write_bytes(content)
    bench.place.file.chmod(0o600)

    assert bench.place.read() is None
    assert find(bench.place) is None


def test_a_file_that_others_may_read_is_refused(bench: Bench) -> None:
    with bench.serving():
        bench.place.file.chmod(0o644)
        with pytest.raises(UnsafePermissions):
            find(bench.place)


def test_the_files_are_private(bench: Bench) -> None:
    with bench.serving():
        assert bench.place.folder.stat().st_mode & 0o777 == 0o700
        assert bench.place.bundles.stat().st_mode & 0o777 == 0o700
        assert bench.place.file.stat().st_mode & 0o777 == 0o600


def test_bundles_of_a_killed_agent_are_removed(bench: Bench) -> None:
    with bench.serving() as runtime:
        bench.place.bundle("view1").touch()
        bench.place.prepare(time.time())
        assert bench.place.bundle("view1").exists()  # of an agent that is there

        bench.place.write(replace(runtime, started="another"))
        bench.place.prepare(time.time())
        assert bench.place.bundle("view1").exists()  # a child may be there still
        bench.place.prepare(time.time() + 3601)
        assert not bench.place.bundle("view1").exists()


def test_what_agents_left_is_told_from_what_other_machines_use(bench: Bench) -> None:
    """A home may be shared: of another machine's agent only the age of its file tells."""
    with bench.serving() as runtime:
        place = bench.place
        now = place.file.stat().st_mtime
        assert not place.is_left_over(now + 1e9)
        place.write(replace(runtime, started="another"))
        assert place.is_left_over(now)
        place.write(replace(runtime, machine="another", started="another"))
        assert not place.is_left_over(now + TOUCH_SECONDS)
        assert place.is_left_over(now + 3 * TOUCH_SECONDS)
        os.utime(place.file, (0, 0))
        place.touch(now)
        assert not place.is_left_over(now + TOUCH_SECONDS)
        place.file.write_text("broken")
        assert place.is_left_over(now)


class Peer:
    """An agent of another version, as far as hello tells."""

    def __init__(self, app: Any, protocol: int, oldest: int) -> None:
        self._app = app
        self._said = (protocol, oldest)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not scope["path"].endswith("hello"):
            await self._app(scope, receive, send)
            return
        nonce = scope["query_string"].decode().partition("=")[2]
        port = scope["server"][1]
        value = {
            "protocol": self._said[0], "oldest": self._said[1], "version": "7.0",
            "proof": protocol.proof(SECRET, nonce, port, *self._said), "more": 1,
        }  # fmt: skip
        body = json.dumps(value).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(("newest", "oldest", "said"), [(9, 5, "too new"), (0, 0, "too old")])
def test_a_peer_of_another_language_is_named_and_can_be_stopped(
    bench: Bench, newest: int, oldest: int, said: str
) -> None:
    with bench.serving(lambda app: Peer(app, newest, oldest)) as runtime:
        with pytest.raises(AgentTrouble, match=f"crane 7.0, which is {said}") as raised:
            connect(runtime)
        assert "crane agent stop" in raised.value.hint
        with connect(runtime, speak=False) as agent:
            agent.stop()
    assert bench.ended.is_set()


def test_a_newer_peer_that_knows_our_language_is_used(bench: Bench) -> None:
    with bench.serving(lambda app: Peer(app, 9, 1)) as runtime, connect(runtime) as agent:
        assert agent.open_view(Wish(owner=1)).opened.name == "view1"


def test_what_is_not_said_twice_is_not_in_the_file_names(tmp_path: Any) -> None:
    place = Place(tmp_path / "k")
    runtime = Runtime("k", "here", 1, "x", 1, SECRET, "0")
    place.prepare(time.time())
    place.write(runtime)

    assert place.read() == runtime
    assert "secret" not in repr(runtime).replace("secret=Secret('***')", "")
