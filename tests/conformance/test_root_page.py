"""The list of projects (PEP 503, 629, 691 §Project List), through a real gateway in both forms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance.front import HTML, JSON, Front, front_before
from conformance.reading import HtmlPage
from gateway.upstream import whole
from idp.oidc import Realm

PEP691 = {
    "meta": {"api-version": "1.4", "_last-serial": 9},
    "projects": [
        {"name": "Frob", "_last-serial": 3, "x": [1]},
        {"name": "spam_spam.spam"},
        {"name": "frob"},  # the same project again
        {"name": ".git"},
        {"name": "a b"},
        {"name": 7},
        "lib",
    ],
    "x-of-root": {"k": 2**70},
}
PEP503 = """<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.3"></head>
<body><a href="/simple/frob/">Frob</a> <a href="spam-spam-spam">spam_spam.spam</a>
<a href="../">../</a> <a href="%2Egit/">.git</a> <a href="folder_one/">open it!</a></body></html>"""
LISTING = {
    "status": "success", "code": 200,
    "data": {"directories": [{"name": "Frob"}, {"name": "spam_spam.spam"}], "files": []},
}  # fmt: skip


@pytest.fixture
def root_front(realm: Realm, tmp_path: Path) -> Iterator[Front]:
    """Give a gateway that has not read its index's root page yet."""
    with front_before(realm, tmp_path) as front:
        yield front


def serve_root(front: Front, page: Any, kind: str = JSON) -> None:
    body = page.encode() if isinstance(page, str) else json.dumps(page).encode()
    front.upstream.routes["/simple/"] = whole(200, body, kind)


def root(front: Front, accept: str) -> Any:
    answer = front.gate.get("/python/simple/", accept=accept)
    assert answer.status_code == 200, answer.reason_phrase
    return answer.json() if accept == JSON else HtmlPage(answer.content.decode("ascii"))


def test_json_keeps_every_key_and_has_one_entry_for_each_project(root_front: Front) -> None:
    serve_root(root_front, PEP691)
    document = root(root_front, JSON)
    assert document["projects"] == PEP691["projects"][:2]
    assert {**document, "projects": 0} == {**PEP691, "projects": 0}


def test_json_becomes_html_with_links_to_normalised_names(root_front: Front) -> None:
    """The text MUST be the name of the project, and the href link to the URL for it."""
    serve_root(root_front, PEP691)
    page = root(root_front, HTML)
    assert page.doctype.lower() == "doctype html"
    assert page.texts == ["Frob", "spam_spam.spam"]
    assert [anchor["href"] for anchor in page.anchors] == ["frob/", "spam-spam-spam/"]
    assert page.meta("pypi:repository-version") == ["1.4"]


def test_html_becomes_json(root_front: Front) -> None:
    serve_root(root_front, PEP503, "text/html")
    document = root(root_front, JSON)
    assert document["meta"] == {"api-version": "1.3"}
    names = [{"name": name} for name in ("Frob", "spam_spam.spam", "folder_one")]
    assert document["projects"] == names


def test_html_stays_html(root_front: Front) -> None:
    serve_root(root_front, PEP503, "text/html")
    page = root(root_front, HTML)
    assert page.texts == ["Frob", "spam_spam.spam", "folder_one"]
    hrefs = [anchor["href"] for anchor in page.anchors]
    assert hrefs == ["frob/", "spam-spam-spam/", "folder-one/"]
    assert page.meta("pypi:repository-version") == ["1.3"]


@pytest.mark.parametrize("accept", [JSON, HTML])
def test_a_crane_servers_folders_are_a_list_of_projects(root_front: Front, accept: str) -> None:
    serve_root(root_front, LISTING, "application/json")
    found = root(root_front, accept)
    names = [p["name"] for p in found["projects"]] if accept == JSON else found.texts
    assert names == ["Frob", "spam_spam.spam"]


def test_every_name_on_the_list_can_be_asked_for(root_front: Front) -> None:
    serve_root(root_front, PEP691)
    page = '<a href="x-1.0.zip">x</a>'
    for name in ("frob", "spam-spam-spam"):
        root_front.upstream.routes[f"/simple/{name}/"] = whole(200, page.encode())
    for anchor in root(root_front, HTML).anchors:
        answer = root_front.gate.get(f"/python/simple/{anchor['href']}")
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ({**PEP691, "meta": {"api-version": "2.0"}}, JSON),
        (PEP503.replace("1.3", "2.0"), "text/html"),
        ('{"meta":{"api-version":"1.0"},"projects":[],"x":1e999}', JSON),
        ("<h1>Maintenance</h1>", "text/html"),
    ],
)
def test_what_is_no_list_that_we_understand_is_an_error(
    root_front: Front, page: Any, kind: str
) -> None:
    serve_root(root_front, page, kind)
    answer = root_front.gate.get("/python/simple/")
    assert answer.status_code == 502
    assert answer.reason_phrase.startswith("crane: ")


def test_a_mirrors_list_of_a_hundred_thousand_names_comes_through(root_front: Front) -> None:
    projects = [{"name": f"Project_{n}", "_last-serial": n} for n in range(100_000)]
    serve_root(root_front, {"meta": {"api-version": "1.1"}, "projects": projects})
    assert root(root_front, JSON)["projects"] == projects
    assert len(root(root_front, HTML).anchors) == len(projects)
