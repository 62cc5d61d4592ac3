"""The pictures in the pages: each is shown, small, and drawn the same twice."""

from __future__ import annotations

import sys
from xml.etree import ElementTree as ET

import pytest
from docs.blocks import PAGES, ROOT

from devtasks.mirror import LINK
from devtasks.pictures.__main__ import LARGEST
from devtasks.pictures.scene import SHOWN_ORIGIN, fixed

PICTURES = ROOT / "docs" / "pictures"
ORIGIN = "http://127.0.0.1:43210"


def test_every_picture_is_in_a_page_and_every_page_has_words_for_it() -> None:
    links = [
        (page.parent.joinpath(link[3]).resolve(), link)
        for page in PAGES
        for link in LINK.finditer(page.read_text(encoding="utf-8"))
    ]
    kept = set(PICTURES.iterdir())
    assert len(kept) == 3
    assert kept <= {target for target, _ in links}
    assert [link[0] for target, link in links if link[1] and len(link[2]) < 20] == []
    assert [picture.name for picture in kept if picture.stat().st_size > LARGEST] == []
    # Nothing of the machine on which it was made, and nothing from elsewhere.
    drawn = (PICTURES / "first-minutes.svg").read_text(encoding="utf-8")
    for foreign in ("127.0.0.1", "/tmp", "@font-face", "url(http", "<script"):
        assert foreign not in drawn
    ET.fromstring(drawn)


def test_what_differs_from_run_to_run_is_written_over_and_takes_as_much_room() -> None:
    assert len(SHOWN_ORIGIN) == len(ORIGIN)
    said = (
        f"{ORIGIN}/idp/authorize?response_type=code&client_id=crane-pip&state=x&nonce=y\n"
        "kept in /tmp/home/crane, until 2026-11-29 11:09 (3 min), a.whl (1.1 kB)"
    )
    assert fixed(said, ORIGIN, "/tmp/home") == (
        f"{SHOWN_ORIGIN}/idp/authorize?response_type=code&client_id=crane-pip&…\n"
        "kept in ~/crane, until 2027-01-04 10:11 (29 min), a.whl (5 kB)"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="pexpect needs a pseudo terminal of Unix")
def test_a_session_is_drawn_as_a_terminal_shows_it() -> None:
    """A carriage return writes over, a colour is one, and the same session is the same picture."""
    from devtasks.pictures.terminal import screen, svg

    session = "\x1b[32m✓\x1b[0m done & well\r\nwaiting, 4:59 left\r\x1b[Knext\r\n\r\n"
    lines = screen(session)
    assert [line.plain for line in lines] == ["✓ done & well", "next"]
    assert next(str(span.style) for span in lines[0].spans) == "green"
    assert svg(lines, "crane") == svg(screen(session), "crane")
    shown = "".join(ET.fromstring(svg(lines, "crane")).itertext())
    assert "done\N{NO-BREAK SPACE}&\N{NO-BREAK SPACE}well" in shown
    assert "waiting" not in shown
