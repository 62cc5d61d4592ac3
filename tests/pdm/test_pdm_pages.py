"""The pages that PDM's process has been given, in memory."""

from __future__ import annotations

import httpx2
from pdm_crane import pages
from pdm_crane.pages import Pages

from crane_core.clients.in_process import Needs, Way
from crane_core.secret import Secret

SIMPLE = "https://index.firm.test/python/simple"


def way() -> Way:
    return Way(Needs(("python",)), Secret("http://view:secret@127.0.0.1:1"), "", frozenset())


def test_a_page_is_given_again_and_nothing_else(monkeypatch) -> None:
    known, here = Pages(httpx2), way()

    def asked(path: str, body: bytes = b"{}", status: int = 200, method: str = "GET", **more):
        request = httpx2.Request(method, f"{SIMPLE}/{path}", headers=more)
        headers = {"content-type": "text/html", "set-cookie": "a=b"}
        known.note(here, request, httpx2.Response(status, headers=headers, content=body))
        return known.get(here, request)

    page = asked("app/", b"one", accept="text/html")
    assert (page.status_code, page.content) == (200, b"one")
    assert dict(page.headers) == {"content-type": "text/html", "content-length": "3"}
    assert known.has_all(["App"])
    assert not known.has_all(["app", "other"])
    # Another representation, another view, no page, no answer that lasts.
    assert known.get(here, httpx2.Request("GET", f"{SIMPLE}/app/")) is None
    assert known.get(way(), page.request) is None
    assert asked("gone/", status=404) is None
    assert asked("app/", method="HEAD") is None
    assert asked("app-1.0-py3-none-any.whl") is None
    assert asked("app-1.0-py3-none-any.whl.metadata") is None
    # A command works with one state of a page.
    assert asked("app/", b"two", accept="text/html").content == b"one"
    monkeypatch.setattr(pages, "MOST_OF_ONE", 9)
    monkeypatch.setattr(pages, "MOST_BYTES", 20)
    assert asked("large/", b"x" * 10) is None
    for name in ("a", "b", "c"):
        assert asked(f"{name}/", b"x" * 9) is not None
    assert known.get(here, page.request) is None
    assert known.get(here, httpx2.Request("GET", f"{SIMPLE}/a/")) is None
    assert known.get(here, httpx2.Request("GET", f"{SIMPLE}/c/")) is not None
