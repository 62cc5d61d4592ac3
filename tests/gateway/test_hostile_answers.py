"""Answers that try to fill our memory, to keep us waiting, or to surprise us."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from gateway.harness import Gate, Home, index_of
from gateway.upstream import Scripted, start, whole
from support.world import World

import crane_core.gateway.answers as answers_module
import crane_core.gateway.pages as pages_module
from crane_core.index.source import MAX_PAGE_BYTES
from crane_devserver.running import serve_in_thread

PAGE = b'<title>Links for lib</title><a href="lib-1.0.zip">lib</a>'


@pytest.fixture
def upstream(world: World, home: Home) -> Iterator[tuple[Scripted, Gate]]:
    """Give an index of functions and a gateway before it, whose fallback is the public index."""
    scripted = Scripted({"/python/": whole(200, b"<title>Simple index</title>")})
    with serve_in_thread(scripted) as url:
        index = index_of(world, url=f"{url}/python")
        home.login(index)
        with home.serve(index) as gate:
            yield scripted, gate


def test_a_compressed_page_is_read(upstream: tuple[Scripted, Gate]) -> None:
    """The control of what follows."""
    scripted, gate = upstream
    packed = whole(200, gzip.compress(PAGE), content_encoding="gzip")
    scripted.routes["/python/lib/"] = packed
    assert gate.names("lib") == ["lib-1.0.zip"]


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(bytes(MAX_PAGE_BYTES + 1)), "gzip"),
        (gzip.compress(gzip.compress(bytes(1 << 28))), "gzip, gzip"),
        (gzip.compress(PAGE)[:-12], "gzip"),
        (PAGE, "gzip"),
        (PAGE, "br"),
    ],
    ids=["one byte too many", "packed twice", "cut off", "not packed", "not asked for"],
)
def test_a_page_in_a_hostile_encoding_is_an_error(
    world: World, upstream: tuple[Scripted, Gate], body: bytes, encoding: str
) -> None:
    """Nothing of it is unpacked beyond the limit, and nobody else is asked."""
    scripted, gate = upstream
    scripted.routes["/python/lib/"] = whole(200, body, content_encoding=encoding)
    assert gate.project("lib").status_code in {502, 504}
    assert not [r for r in world.public_server.requests if "lib" in r.path]


def test_a_page_that_comes_a_byte_at_a_time_ends_before_the_tool_gives_up(
    world: World, upstream: tuple[Scripted, Gate], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool that gives up shows no reason, and may go on with its next index."""
    scripted, gate = upstream
    monkeypatch.setattr(answers_module, "PAGE_SECONDS", 0.5)

    async def trickle(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(start(200, content_type="text/html"))
        for byte in PAGE:
            await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
            await asyncio.sleep(0.1)

    scripted.routes["/python/lib/"] = trickle
    answer = gate.project("lib")

    assert answer.status_code == 504
    assert "did not answer in" in answer.reason_phrase
    assert not [r for r in world.public_server.requests if "lib" in r.path]


@pytest.mark.parametrize("agent", ["pip/26.3", "uv/0.13"])
def test_a_fault_of_our_own_is_no_bare_500(
    world: World, upstream: tuple[Scripted, Gate], monkeypatch: pytest.MonkeyPatch, agent: str
) -> None:
    """pip would pass over it in silence and take the name from its next index."""
    scripted, gate = upstream
    scripted.routes["/python/lib/"] = whole(200, PAGE)

    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(pages_module, "localised", broken)
    if agent.startswith("pip"):
        with pytest.raises(Exception, match="chunk"):
            gate.get("/python/simple/lib/", user_agent=agent)
    else:
        answer = gate.get("/python/simple/lib/", user_agent=agent)
        assert answer.status_code == 502
        assert "RuntimeError" in answer.reason_phrase
        assert "secret detail" not in answer.text
