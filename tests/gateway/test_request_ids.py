"""An id for each request: in its answer, in each of its events, and in the error that is shown."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import httpx2
from gateway.upstream import ask, send_raw

from crane_devserver import Fault

if TYPE_CHECKING:
    from gateway.harness import Gate
    from support.world import World

ID = re.compile(r"[0-9a-f]{10}")
FIELD = "x-request-id"
SECRET = "hunter2"


def events_of(gate: Gate, answer: httpx2.Response) -> list[str]:
    """Return the problems of the events of an answered request."""
    return [e.problem for e in gate.events if e.request == answer.headers[FIELD]]


def test_each_answer_has_one_and_so_have_its_events(world: World, gate: Gate) -> None:
    """Also one that is given again without anybody being asked, and a redirect."""
    world.add_private("one-lib")
    url = gate.files("one-lib")[0]["url"]
    gate.events.clear()
    answers = [
        *(gate.project("one-lib", "python") for _ in range(3)),
        gate.get(url), gate.request("HEAD", url), gate.get(url, range="bytes=0-3"),
        gate.get("/python/simple/One.Lib"), gate.get("/-/health"), gate.get("/python/simple/"),
    ]  # fmt: skip

    ids = [answer.headers.get_list(FIELD) for answer in answers]
    assert all(len(one) == 1 and ID.fullmatch(one[0]) for one in ids)
    assert len({one[0] for one in ids}) == len(answers)
    assert events_of(gate, answers[0]) == events_of(gate, answers[3]) == [""]


def test_each_error_names_its_request(world: World, gate: Gate) -> None:
    """In the reason phrase as well: many a tool shows nothing else. No id of the tool's is used."""
    for path, status in (("broken-lib", 503), ("refused-lib", 403)):
        world.crane.faults.append(Fault(f"/python/{path}/", status=status))
    answers = [
        gate.project("broken-lib"),
        gate.project("refused-lib"),
        gate.get("/python/files/python/one-lib/one_lib-1.0-py3-none-any.whl"),
        gate.get("/python/files/python/one-lib/", x_request_id="not-so"),
        gate.get("/python/files/elsewhere/one.whl"),
        gate.get("/nowhere/at/all"),
        gate.get("/python/simple/-no-name-/"),
        gate.get("/-/nothing"),
        gate.get("/", host="evil.example"),
        gate.request("POST", "/python/legacy/"),
        gate.request("DELETE", "/python/simple/"),
    ]

    for answer in answers:
        made = answer.headers[FIELD]
        assert 400 <= answer.status_code < 600
        assert ID.fullmatch(made)
        assert answer.text == f"{answer.reason_phrase}\n"
        assert answer.text.startswith("crane: ")
        assert answer.text.endswith(f" (request {made})\n")
        (problem,) = events_of(gate, answer)
        assert answer.text == f"crane: {problem} (request {made})\n"


def test_a_page_that_breaks_off_for_pip_names_it_in_what_pip_prints(
    world: World, gate: Gate
) -> None:
    world.crane.faults.append(Fault("/python/broken-lib/", status=503))

    answer = ask(gate, "/python/simple/broken-lib/", "user-agent: pip/26.3")

    (found,) = re.findall(r"^x-request-id: (.*)$", answer.head.replace("\r", ""), re.MULTILINE)
    (event,) = (e for e in gate.events if e.problem)
    assert found == event.request
    problem = event.problem.replace(";", ",")  # pip prints the line up to a semicolon
    assert answer.body == f"crane: {problem} (request {found})\r\n".encode()


def test_requests_that_are_sent_at_once_on_one_connection_have_their_own(gate: Gate) -> None:
    head = f"host: 127.0.0.1:{gate.port}\r\n"
    one = f"GET /nowhere/at/all HTTP/1.1\r\n{head}\r\n"

    answer = send_raw(
        gate, f"{one}{one}{one}GET /x/y/z HTTP/1.1\r\n{head}connection: close\r\n\r\n".encode()
    )

    ids = re.findall(r"x-request-id: (\w+)", answer.data.decode())
    shown = re.findall(r"\(request (\w+)\)\n", answer.data.decode())
    assert ids == shown == [event.request for event in gate.events]
    assert len(set(ids)) == 4


def test_a_log_has_no_query_no_login_and_no_token_in_it(world: World, gate: Gate) -> None:
    """A signed address is good for whoever has it, and indexes redirect to such ones."""
    signed = f"https://ada:{SECRET}@127.0.0.1:9/one.whl?X-Amz-Signature={SECRET}#{SECRET}"
    world.crane.faults.append(
        Fault("/python/one-lib/", status=302, headers=((b"location", signed.encode()),))
    )
    world.crane.faults.append(Fault("/python/x.whl", status=400))
    gate.get("/python/files/python/one-lib/one_lib-1.0-py3-none-any.whl")
    gate.get(f"/python/files/python/x.whl?token={SECRET}")
    gate.get(f"/nowhere/at/all/eyJhbGciOiJSUzI1NiJ9.{SECRET}.{SECRET}?q={SECRET}")
    ask(gate, f"http://ada:{SECRET}@{world.crane_url.removeprefix('http://')}/?q={SECRET}")

    records = [json.dumps(event.record(0)) for event in gate.events]
    assert len(records) >= 4
    assert [event for event in gate.events if SECRET in event.problem]  # as the tool was told it
    assert not [record for record in records if SECRET in record]
    assert json.loads(records[0]).keys() == {
        "time", "request", "kind", "what", "source", "outcome", "bytes", "problem",
    }  # fmt: skip
    assert json.loads(records[0])["time"] == "1970-01-01T00:00:00.000+00:00"
