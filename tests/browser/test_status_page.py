"""The status page as people see it: in Chromium, on a desk and on a phone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from browser import measures
from browser.conftest import HOSTILE, SCRIPT, Desk
from browser.visit import SHAPES, visiting

from crane_core.text import visible

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.xdist_group("chromium"),
    # Installing a browser has a limit of its own.
    pytest.mark.timeout(func_only=True),
]
on_every_shape = pytest.mark.parametrize("shape", SHAPES)
in_every_light = pytest.mark.parametrize("scheme", ["light", "dark"])
INDEXES = ["Name", "URL", "Fallback", "Login"]
REQUESTS = ["What", "Answer", "Size", "Time"]


@on_every_shape
def test_every_section_is_there_to_see(chromium: Browser, desk: Desk, shape: str) -> None:
    with visiting(chromium, desk.status_url, shape) as visit:
        for heading in ("Indexes", "Cache", "Last requests"):
            assert visit.page.get_by_role("heading", name=heading).is_visible()
        shown = visit.page.locator("main").inner_text()
        for text in (
            desk.world.index_url,
            desk.world.public_url,
            "logged in",
            "run: crane login data-science.nightly",
            "2 files, ",
            "private-lib",
            "private_lib-1.0-py3-none-any.whl",
            "public-lib",
            "nobody is logged in at data-science.nightly",
        ):
            assert text in shown
        assert visit.run(measures.HIDDEN) == []


@in_every_light
@on_every_shape
def test_it_can_be_read(
    chromium: Browser, desk: Desk, shape: str, scheme: str, tmp_path: Path
) -> None:
    with visiting(chromium, desk.status_url, shape, color_scheme=scheme) as visit:
        visit.page.screenshot(path=tmp_path / f"{shape}-{scheme}.png", full_page=True)
        assert visit.run(measures.LOW_CONTRAST) == []
        assert visit.run(measures.SCROLLS_SIDEWAYS) == []
        assert visit.run(measures.HARD_TO_READ) == []
        assert visit.run(measures.OVERLAPS) == []
        assert visit.run(measures.CRAMPED) == []
        dark = "matchMedia('(prefers-color-scheme: dark)').matches"
        assert visit.run(f"() => {dark}") is (scheme == "dark")


def test_on_the_narrowest_phone(chromium: Browser, desk: Desk) -> None:
    """WCAG 2.2 §1.4.10 asks for no more than 320 pixels."""
    with visiting(chromium, desk.status_url, "phone") as visit:
        visit.page.set_viewport_size({"width": 320, "height": 568})
        assert visit.run(measures.SCROLLS_SIDEWAYS) == []
        assert visit.run(measures.HARD_TO_READ) == []


def test_on_a_phone_each_cell_says_what_it_is(chromium: Browser, desk: Desk) -> None:
    with visiting(chromium, desk.status_url, "phone") as visit:
        rows = visit.run(measures.LABELS)
        assert rows[:2] == [INDEXES, INDEXES]
        without_size = [label for label in REQUESTS if label != "Size"]
        assert all(labels in (REQUESTS, without_size) for labels in rows[2:])
        assert REQUESTS in rows
        assert not visit.page.locator("thead").first.is_visible()


def test_on_a_desk_the_columns_say_it(chromium: Browser, desk: Desk) -> None:
    with visiting(chromium, desk.status_url) as visit:
        heads = visit.page.locator("thead th[scope=col]").all_inner_texts()
        assert heads == INDEXES + REQUESTS
        assert not any(label for labels in visit.run(measures.LABELS) for label in labels)


@on_every_shape
def test_a_screen_reader_finds_its_way(chromium: Browser, desk: Desk, shape: str) -> None:
    with visiting(chromium, desk.status_url, shape) as visit:
        assert visit.page.title() == "crane status"
        assert visit.page.locator("html").get_attribute("lang") == "en"
        tree = accessible(visit.page)
        assert len(named(tree, "main")) == 1
        levels = [(n["name"]["value"], level(n)) for n in named(tree, "heading")]
        assert [text for text, depth in levels if depth == 1] == [levels[0][0]]
        assert levels[1:] == [("Indexes", 2), ("Cache", 2), ("Last requests", 2)]
        rows = [n["name"]["value"] for n in named(tree, "rowheader")]
        assert any("private-lib" in row for row in rows)
        assert len(named(tree, "table")) == 2
        if shape == "desktop":
            heads = [n["name"]["value"] for n in named(tree, "columnheader")]
            assert heads == INDEXES + REQUESTS
        else:
            cells = [n["name"]["value"] for n in named(tree, "cell")]
            assert any(re.fullmatch(r"Login\s*logged in", cell) for cell in cells), cells


@on_every_shape
def test_it_loads_nothing_and_nothing_runs(chromium: Browser, desk: Desk, shape: str) -> None:
    with visiting(chromium, desk.status_url, shape) as visit:
        visit.page.wait_for_load_state("networkidle")
        assert set(visit.requests) == {desk.status_url}
        assert visit.complaints == []
        # Without a window Chromium wants no icon; with one, it would ask the index for it.
        assert visit.page.locator('link[rel=icon][href="data:,"]').count() == 1


@pytest.mark.parametrize("bypass_csp", [False, True])
def test_names_are_only_text(chromium: Browser, desk: Desk, bypass_csp: bool) -> None:
    """The policy is the second line of defence; the first one holds alone."""
    with visiting(chromium, desk.status_url, bypass_csp=bypass_csp) as visit:
        shown = visit.page.locator("main").inner_text()
        for name in (SCRIPT, *HOSTILE):
            assert visible(name).strip() in shown
        visit.page.wait_for_load_state("networkidle")
        assert visit.run(measures.FOREIGN) == []
        assert set(visit.requests) == {desk.status_url}
        assert visit.complaints == []


def test_a_script_that_got_in_would_not_run(chromium: Browser, desk: Desk) -> None:
    with visiting(chromium, desk.status_url) as visit:
        visit.run("""() => {
            const script = document.createElement('script')
            script.textContent = "alert('ran')"
            document.body.append(script)
            const image = document.createElement('img')
            image.src = '/-/health'
            document.body.append(image)
        }""")
        visit.page.wait_for_load_state("networkidle")
        assert "ran" not in visit.complaints
        assert any("policy: script-src-elem" in text for text in visit.complaints)
        assert any("policy: img-src" in text for text in visit.complaints)


def test_no_token_is_on_it(chromium: Browser, desk: Desk) -> None:
    tokens = desk.session.tokens
    with visiting(chromium, desk.status_url) as visit:
        content = visit.page.content()
    for secret in (tokens.access_token, tokens.refresh_token):
        assert secret is not None
        assert secret.reveal() not in content
        # Nor the part of a signed token that names its user.
        assert all(part not in content for part in secret.reveal().split(".") if len(part) > 8)


def test_it_shows_a_new_request_by_itself(chromium: Browser, desk: Desk) -> None:
    desk.world.add_private("later-lib")
    with visiting(chromium, desk.status_url, refreshed=True) as visit:
        new = visit.page.get_by_role("rowheader", name="later-lib", exact=True)
        assert new.count() == 0
        assert desk.gate.files("later-lib")
        new.wait_for()
        assert len(visit.requests) > 1
        assert set(visit.requests) == {desk.status_url}
        assert visit.complaints == []


def accessible(page: Page) -> list[dict[str, Any]]:
    """Return what Chromium tells a screen reader, as a flat list."""
    client = page.context.new_cdp_session(page)
    nodes: list[dict[str, Any]] = client.send("Accessibility.getFullAXTree")["nodes"]
    return [node for node in nodes if not node["ignored"]]


def named(tree: list[dict[str, Any]], role: str) -> list[dict[str, Any]]:
    """Return the nodes of a role."""
    return [node for node in tree if node["role"]["value"] == role]


def level(node: dict[str, Any]) -> int:
    """Return a heading's level."""
    found: int = next(p["value"]["value"] for p in node["properties"] if p["name"] == "level")
    return found
