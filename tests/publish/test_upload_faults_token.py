"""An index that shows the headers of what it was sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.harness import Home
from gateway.upstream import Scripted, whole
from idp.oidc import Realm
from publish.kit import Desk, guard
from support.world import World

from crane_core.config.model import Index
from crane_devserver.running import serve_in_thread
from crane_devserver.wheels import make_wheel


def test_a_token_that_an_index_echoes_is_not_told(
    world: World, home: Home, realm: Realm, tmp_path: Path
) -> None:
    sent: list[str] = []

    async def take(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        shown = dict(scope["headers"])[b"authorization"]
        sent.append(shown.decode().removeprefix("Bearer "))
        await whole(400, b"bad header " + shown, "text/plain")(scope, receive, send)

    with serve_in_thread(Scripted({"/repo/": take})) as url:
        index = Index(
            name="python", url=f"{url}/repo", issuer=realm.issuer, fallback="none",
            publish="warehouse",
        )  # fmt: skip
        home.login(index)
        with home.serve(index, guard=guard) as gate:
            wheel = make_wheel(tmp_path, "firm-lib", "1.0")
            done = Desk(world, home, index, gate).upload(wheel)
            told = [done.reason_phrase, done.text, *(str(event) for event in gate.events)]
    assert done.status_code == 400
    assert len(sent) == 1
    assert sent[0]
    assert not [text for text in told if sent[0] in text]
    assert done.text == "bad header Bearer ***"
    assert "bad header Bearer ***" in done.reason_phrase
