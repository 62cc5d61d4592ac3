"""Fixtures of the tests in a real browser: the browser, and a gateway that has been in use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from browser.chromium import Missing, running_chromium
from gateway.harness import Gate, index_of, new_home
from idp.oidc import Idp
from support.world import KEPT, World, make_world

from crane_core.auth.model import Session

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# What a name would have to be to do something on the page, or to it.
SCRIPT = "<script>alert('ran')</script>"
HOSTILE = (
    "<svg onload=alert('ran')>",
    "\"><img src=x onerror=alert('ran')>",
    "x class=bad onmouseover=alert('ran') ",
    "<style>main{display:none}",
    "<!--",
    "&lt b",
    "w" * 150,
    "\N{RIGHT-TO-LEFT OVERRIDE}reversed",
)


@dataclass(frozen=True)
class Desk:
    """A gateway that somebody has used, and their login."""

    world: World
    gate: Gate
    session: Session

    @property
    def status_url(self) -> str:
        """Where its status page is."""
        return f"{self.gate.url}/-/"


@pytest.fixture(scope="module")
def desk(providers: Idp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Give a gateway for two indexes, one without a login, after requests of every kind."""
    providers.reset()
    folder = tmp_path_factory.mktemp("desk")
    realm = providers["keycloak"]
    with pytest.MonkeyPatch.context() as patch, make_world(folder / "world", realm) as world:
        for name in set(os.environ) - set(KEPT):
            if "proxy" in name.lower():
                patch.delenv(name)
        home = new_home(folder / "home", realm)
        index = index_of(world)
        other = index_of(
            world, name="data-science.nightly", url=f"{world.crane_url}/data-science-nightly",
            fallback="none", client_id="other",
        )  # fmt: skip
        # In a thread of its own, since Playwright's loop may run in this one.
        with ThreadPoolExecutor(1) as pool:
            session = pool.submit(home.login, index).result()
        with home.serve(index, other) as gate:
            use(gate, world)
            yield Desk(world, gate, session)


def use(gate: Gate, world: World) -> None:
    """Ask for what a tool would ask for, and for what only an enemy would."""
    world.add_private("private-lib", size=50_000)
    world.add_private("a-project-with-quite-a-long-name-as-machine-made-ones-are")
    world.add_public("public-lib")
    for name in ("private-lib", "a-project-with-quite-a-long-name-as-machine-made-ones-are"):
        (file,) = gate.files(name)
        assert gate.get(file["url"]).status_code == 200
    assert gate.get(file["url"]).status_code == 200
    assert gate.files("public-lib")
    assert gate.project("nobody-has-it").status_code == 404
    assert gate.project("wanted", "data-science.nightly").status_code >= 400
    for name in HOSTILE:
        assert gate.get(f"/python/files/python/{quote(name)}-1.0.zip").status_code >= 400
    path = f"/python/simple/{quote(SCRIPT)}/"
    assert gate.get(path, origin="https://evil.example").status_code == 403


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Give one browser for all tests of a module, or say why there is none.

    Not for the whole run: its loop stays in the thread, where other tests start theirs.
    """
    try:
        with running_chromium() as browser:
            yield browser
    except Missing as reason:
        pytest.skip(str(reason))
