"""Requests of the forward route have an id each, on whichever way they come."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from forward import raw
from forward.net import Net
from forward.rig import PRIVATE_HOST, PUBLIC_HOST, Rig, Site, forward
from gateway.harness import Home
from gateway.upstream import Raw, Scripted, whole

SECRET = "hunter2"


def id_of(answer: Raw) -> str:
    """Return the id that stands in the head, once, and is repeated at the end of the error."""
    (found,) = re.findall(r"(?m)^x-request-id: ([0-9a-f]{10})\r?$", answer.head)
    assert answer.body.startswith(b"crane: ")
    assert answer.body.endswith(f" (request {found})\n".encode())
    return found


def test_each_error_and_its_event_have_the_same(rig: Rig) -> None:
    view = rig.open()
    login = raw.login(view)
    with pytest.raises(raw.Refused) as refused, raw.tunnel(rig, view, "localhost:443"):
        pass
    plain = f"http://ada:{SECRET}@plain.test/?q={SECRET}"
    answers = [
        raw.send(rig, b"CONNECT index.firm.test:443 HTTP/1.1\r\nhost: x\r\n\r\n"),
        raw.send(rig, b"CONNECT index.firm.test:443 HTTP/1.1\r\nx\r\n\r\n"),
        refused.value.answer,
        raw.send(rig, f"GET {plain} HTTP/1.1\r\nhost: plain.test\r\n\r\n".encode()),
        raw.send(rig, f"GET {plain} HTTP/1.1\r\nhost: plain.test\r\n{login}\r\n".encode()),
        raw.send(rig, b"GET /elsewhere HTTP/1.1\r\nhost: x\r\n\r\n"),
        raw.get(rig, view, f"https://{PRIVATE_HOST}/python/no_lib-1.0-py3-none-any.whl"),
        raw.get(rig, view, f"https://{PRIVATE_HOST}/python/", f"host: {PUBLIC_HOST}"),
        raw.get(rig, view, f"https://{PRIVATE_HOST}/x", "upgrade: websocket"),
    ]

    assert [answer.status for answer in answers] == [407, 400, 403, 407, 403, 421, 404, 400, 501]
    ids = [id_of(answer) for answer in answers]
    told = {event.request: event.problem for event in rig.events if event.problem}
    shown = [answer.body.decode() for answer in answers]
    assert shown == [f"crane: {told[one]} (request {one})\n" for one in ids]
    assert len(set(ids)) == len(ids)
    assert SECRET not in json.dumps([event.record(0) for event in rig.events])
    # Words of somebody who does not know the secret are not for the log.
    assert {e.what for e in rig.events if e.kind == "request" and e.request in ids[:2]} == {""}


def test_an_answer_that_is_handed_on_keeps_the_id_of_its_own_server(
    net: Net, site: Site, home: Home, tmp_path: Path
) -> None:
    """That one is in the index's log; ours is in the event."""
    app = Scripted({"/elsewhere": whole(200, b"here", x_request_id="theirs")})
    with net.host(app, "odd.test"):
        index = site.index(url="https://odd.test/python")
        home.login(index)
        with forward(home, net, tmp_path, index) as rig:
            answer = raw.get(rig, rig.open(), "https://odd.test/elsewhere", "x-request-id: mine")
            (event,) = rig.events

    assert re.findall(r"(?m)^x-request-id: (\w+)", answer.head) == ["theirs"]
    (sent,) = (headers for _, target, headers in app.requests if target == "/elsewhere")
    assert sent["x-request-id"] == "mine"
    assert re.fullmatch(r"[0-9a-f]{10}", event.request)
