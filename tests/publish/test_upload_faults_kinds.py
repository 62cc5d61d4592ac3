"""How the gateway finds out how an index takes uploads, where the index does not say it."""

from __future__ import annotations

import asyncio
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gateway.harness import Home, index_of
from gateway.upstream import Scripted, whole
from publish.kit import Desk, encoded, fields_of, guard
from run.kit import until
from support.world import World

from crane_core.gateway.uploads import kinds
from crane_devserver import Fault
from crane_devserver.running import serve_in_thread
from crane_devserver.wheels import make_wheel

GET = frozenset({"GET"})


def test_silence_ends_and_a_guess_is_not_kept(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was recognised is kept."""
    wheel = make_wheel(tmp_path, "firm-lib", "1.0")
    faults = desk.world.crane.faults
    monkeypatch.setattr(kinds, "QUESTION_SECONDS", 0.5)
    with faults.during(Fault("/python/", delay_seconds=3.0, methods=GET)):
        done = desk.upload(wheel)
    assert done.status_code == 504
    assert "did not answer within 0.5 s" in done.reason_phrase
    assert desk.posts() == []

    monkeypatch.setattr(kinds, "QUESTION_SECONDS", 20.0)
    monkeypatch.setattr(kinds, "GUESS_SECONDS", 0.0)
    hidden = re.compile(r"^/python/$|^/\.well-known/")
    with faults.during(Fault(hidden, status=404, methods=GET)):
        assert desk.upload(wheel).status_code != 200
    assert desk.posts() == ["/python/"], "it was not guessed wrong, so this shows nothing"
    assert desk.upload(wheel).status_code == 200
    with faults.during(Fault(hidden, status=404, methods=GET)):
        assert desk.upload(make_wheel(tmp_path, "firm-lib", "1.1")).status_code == 200


def test_one_question_for_all_and_nobody_waits_for_anothers_index(
    world: World, home: Home, tmp_path: Path
) -> None:
    """While one index is silent, uploads to another end; those to the silent one ask it once."""
    answers = threading.Event()

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.to_thread(answers.wait, 20)
        await whole(200, b'{"status":"success","data":{"directories":[]}}', "application/json")(
            scope, receive, send
        )

    app = Scripted({"/repo/": silent})
    wheel = make_wheel(tmp_path, "firm-lib", "1.0")
    kind, body = encoded(wheel, fields_of(wheel))
    pool = ThreadPoolExecutor(2)
    with serve_in_thread(app) as url:
        good, slow = index_of(world), index_of(world, name="slow", url=f"{url}/repo")
        for index in (good, slow):
            home.login(index)
        with home.serve(good, slow, guard=guard) as gate:

            def post(name: str) -> httpx2.Response:
                headers = {"content-type": kind}
                with httpx2.Client(trust_env=False, timeout=30) as http:
                    return http.post(f"{gate.url}/{name}/legacy/", content=body, headers=headers)

            try:
                waiting = [pool.submit(post, "slow") for _ in range(2)]
                spools = home.paths.cache / "spool"
                until(lambda: spools.exists() and len(list(spools.iterdir())) == 2)
                assert post("python").status_code == 200
                asked = [path for _, path, _ in app.requests]
                assert not any(upload.done() for upload in waiting)
                assert asked == ["/repo/"]
            finally:
                answers.set()
            for upload in waiting:
                upload.result(20)
    assert [r[:2] for r in app.requests if r[2].get("accept") == "application/json"].count(
        ("GET", "/repo/")
    ) == 1
