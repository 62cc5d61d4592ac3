"""What `crane serve` writes of each request."""

from __future__ import annotations

import asyncio
import io
import json
import sys

import pytest

from crane_cli.log import logging_events
from crane_core.gateway.events import Event


def test_no_line_is_lost_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_events("json") as observe:

        async def ends_at_once() -> None:
            observe(Event("page", "one"))
            observe(Event("page", "two"))

        asyncio.run(ends_at_once())
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["what"] for line in lines] == ["one", "two"]


def test_whoever_read_it_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    with logging_events("text") as observe:
        monkeypatch.setattr(sys, "stderr", closed)
        observe(Event("page", "one"))
