"""Which form a tool gets: PEP 691 §Version + Format Selection, and what real tools send."""

from __future__ import annotations

import pytest
from conformance.front import HTML, JSON, Front
from hypothesis import given
from hypothesis import strategies as st

from crane_core.gateway.negotiation import negotiate

TEXT = "text/html"
LATEST = "application/vnd.pypi.simple.latest"
PIP = f"{JSON}, {HTML}; q=0.1, text/html; q=0.01"
UV = f"{JSON}, {HTML};q=0.2, text/html;q=0.01"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        # treating the absence of an Accept header as Accept: */*
        (None, TEXT),
        ("*/*", TEXT),
        ("", TEXT),
        (JSON, JSON),
        (HTML, HTML),
        (TEXT, TEXT),
        (PIP, JSON),
        (UV, JSON),
        (BROWSER, TEXT),
        # The order of the content types listed does not have any specific meaning.
        (f"{TEXT}, {HTML}, {JSON}", JSON),
        (f"{TEXT}, {HTML}", HTML),
        # An entry with a higher quality has priority; without one it is 1.
        (f"{JSON};q=0.5, {HTML};q=0.6", HTML),
        (f"{JSON};q=0.5, {TEXT}", TEXT),
        (f"{JSON};q=0.999, {HTML};q=0.998", JSON),
        (f"{JSON};q=0, {HTML};q=0.001", HTML),
        (f"{JSON};q=0, */*", TEXT),
        (f"{TEXT};q=0, */*", JSON),
        (f"{JSON}; Q=0.1 , {HTML} ; q=0.2", HTML),
        (f"{JSON};version=1;q=0.9;ext=2, {HTML};q=0.1", JSON),
        (JSON.upper(), JSON),
        # $type/* and */*
        ("application/*", JSON),
        ("text/*", TEXT),
        ("text/*;q=0.1, application/*", TEXT),
        (f"{JSON};q=0.1, */*;q=0.9", JSON),
        # the server MUST respond with the content type for the actual version
        (f"{LATEST}+json", JSON),
        (f"{LATEST}+html", HTML),
        # If the server does not support any of the content types: select a default (option a).
        ("image/png", TEXT),
        ("application/vnd.pypi.simple.v2+json", TEXT),
        ("application/json", TEXT),
        # what is no quality value makes its type unwanted, not wanted more
        (f"{JSON};q=nan, {HTML};q=0.1", HTML),
        (f"{JSON};q=inf, {HTML};q=0.1", HTML),
        (f"{JSON};q=1e9, {HTML};q=0.1", HTML),
        (f"{JSON};q=-1, {HTML};q=0.1", HTML),
        (",,;q=1,", TEXT),
    ],
)
def test_a_tool_gets_the_form_that_it_asks_for(front: Front, accept: str | None, kind: str) -> None:
    name = front.add(f'<a href="{"lib-1.0.zip"}">x</a>')
    request = front.gate.http.build_request("GET", f"{front.gate.url}/python/simple/{name}/")
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    answer = front.gate.http.send(request)
    # servers always include a Content-Type header
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.content.startswith(b"{" if kind == JSON else b"<!DOCTYPE html>")
    assert answer.headers["vary"] == "accept"


def test_several_accept_lines_are_one_list(front: Front) -> None:
    """RFC 9110 §5.3; proxies and libraries write it so."""
    name = front.add('<a href="lib-1.0.zip">x</a>')
    url = f"{front.gate.url}/python/simple/{name}/"
    lines = [("accept", f"{TEXT};q=0.1"), ("accept", JSON)]
    assert front.gate.http.get(url, headers=lines).headers["content-type"] == JSON


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        (f"format={JSON.replace('+', '%2B')}", JSON),
        (f"format={JSON}", JSON),  # as a person types it: `+` is a space in a query
        (f"format={HTML}", HTML),
        ("format=text/html", TEXT),
        (f"format={LATEST}%2Bjson", JSON),
        ("format=application/vnd.pypi.simple.v2%2Bjson", HTML),
        ("format=", HTML),
        ("format", HTML),
        ("x=1&other=2", HTML),
        ("format=%ff%00", HTML),
    ],
)
def test_a_format_in_the_query_comes_before_the_header(front: Front, query: str, kind: str) -> None:
    """Optional (§URL Parameter); one that we do not have falls back to Accept."""
    name = front.add('<a href="lib-1.0.zip">x</a>')
    answer = front.gate.get(f"/python/simple/{name}/?{query}", accept=HTML)
    assert answer.headers["content-type"] == kind


def test_the_root_is_negotiated_in_the_same_way(front: Front) -> None:
    for accept in (JSON, HTML, TEXT):
        answer = front.gate.get("/python/simple/", accept=accept)
        assert answer.headers["content-type"] == accept
        assert answer.headers["vary"] == "accept"


@given(st.lists(st.binary(max_size=40) | st.sampled_from([JSON.encode(), b"*/*;q=0.1"])))
def test_any_accept_gets_one_of_three_types(values: list[bytes]) -> None:
    scope = {"headers": [(b"accept", value) for value in values], "query_string": b""}
    assert negotiate(scope) in {JSON, HTML, TEXT}


@given(st.binary(max_size=60))
def test_any_query_gets_one_of_three_types(query: bytes) -> None:
    scope = {"headers": [], "query_string": b"format=" + query}
    assert negotiate(scope) in {JSON, HTML, TEXT}
