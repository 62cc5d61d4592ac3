"""An index's root page: which projects it lists, however it spells them."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crane_core.errors import CraneError, IndexBroken, IndexRefused, IndexUnreachable
from crane_core.index.answer import PageAnswer
from crane_core.index.root import RootPage, folder_url, read_root
from crane_core.urls import within

ROOT = "https://crane.example/python"
HTML = "text/html;charset=UTF-8"
VALID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # PEP 503
PEP691 = "application/vnd.pypi.simple.v1+json"


def root(body: str | bytes, content_type: str = HTML, status: int = 200) -> RootPage | None:
    asked: list[str] = []

    async def fetch(url: str, limit: int) -> PageAnswer:
        asked.append(url)
        content = body.encode() if isinstance(body, str) else body
        return PageAnswer(url, status, content_type, content)

    found = asyncio.run(read_root(fetch, ROOT))
    assert asked == [f"{ROOT}/"]
    return found


def projects(body: str | bytes, content_type: str = HTML) -> dict[str, tuple[str, ...]]:
    found = root(body, content_type)
    assert found is not None
    return found.projects


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("my-lib/", {"my-lib": ("my-lib",)}),
        ("My_Lib/", {"my-lib": ("My_Lib",)}),
        ("my.lib", {"my-lib": ("my.lib",)}),
        ("/python/My_Lib/", {"my-lib": ("My_Lib",)}),
        (f"{ROOT}/My_Lib/", {"my-lib": ("My_Lib",)}),
        ("./my-lib/", {"my-lib": ("my-lib",)}),
        ("my%2Blib/", {"my+lib": ("my+lib",)}),
        ("../", {}),
        ("/", {}),
        ("./", {}),
        ("", {}),
        ("#top", {}),
        ("?C=M;O=A", {}),
        ("javascript:lib/", {}),
        ("http://[::1/lib/", {}),
        ("http:///lib/", {}),
    ],
)
def test_a_link_names_a_project_in_the_spelling_of_the_index(
    href: str, expected: dict[str, tuple[str, ...]]
) -> None:
    body = f'<title>Simple index</title><a href="{href}"></a>'
    assert projects(body) == expected


@pytest.mark.parametrize("href", ["https://evil.example/x/my-lib/", "/other/my-lib/", "x/my-lib/"])
def test_a_link_that_leads_elsewhere_names_a_project_whose_folder_is_below_the_root(
    href: str,
) -> None:
    """To count it is the safe side: what is listed never falls back."""
    (spelling,) = projects(f'<title>Simple index</title><a href="{href}"></a>')["my-lib"]
    assert folder_url(ROOT, spelling) == f"{ROOT}/my-lib/"


def test_the_text_of_a_link_names_a_project_too() -> None:
    assert projects('<a href="p/17/">My_Lib</a>')["my-lib"] == ("My_Lib",)


def test_all_spellings_of_one_project_are_kept() -> None:
    body = '<a href="my-lib/">my-lib</a><a href="My_Lib/">My_Lib</a>'
    assert projects(body) == {"my-lib": ("my-lib", "My_Lib")}


@pytest.mark.parametrize(
    ("body", "content_type", "is_project"),
    [
        ('<title>Links for x</title><a href="x-1.0.tar.gz">x</a>', HTML, True),
        ('<title>Simple index</title><a href="x/">x</a>', HTML, False),
        (
            '{"status":"success","data":{"directories":[],"files":[{"name":"x-1.0.zip"}]}}',
            "application/json",
            True,
        ),
        (
            '{"status":"success","data":{"directories":[],"files":[{"name":"notes.txt"}]}}',
            "application/json",
            False,
        ),
    ],
)
def test_a_page_that_lists_distributions_is_a_projects_page(
    body: str, content_type: str, is_project: bool
) -> None:
    found = root(body, content_type)
    assert found is not None
    assert found.is_project == is_project


def test_a_pep_691_list_of_projects_is_read() -> None:
    body = {"meta": {"api-version": "1.0"}, "projects": [{"name": "My_Lib", "x": 1}, {"name": "b"}]}
    for content_type in (PEP691, "application/json"):
        assert projects(json.dumps(body), content_type) == {"my-lib": ("My_Lib",), "b": ("b",)}


def test_a_json_listing_of_folders_is_read() -> None:
    body = {"status": "success", "data": {"directories": [{"name": "My_Lib", "path": "/My_Lib"}]}}
    assert projects(json.dumps(body), "application/json") == {"my-lib": ("My_Lib",)}


@pytest.mark.parametrize("status", [404, 410])
def test_an_index_may_have_no_root_page(status: int) -> None:
    assert root("<title>x</title>", status=status) is None


def test_an_older_servers_not_found_page_is_no_root_page() -> None:
    assert root("<title>Crane - not found</title>") is None


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, IndexRefused), (403, IndexRefused), (429, IndexUnreachable), (500, IndexUnreachable),
     (302, IndexBroken), (400, IndexBroken)],
)  # fmt: skip
def test_a_failure_is_never_no_root_page(status: int, error: type[CraneError]) -> None:
    with pytest.raises(error):
        root("", status=status)


def test_a_login_page_is_a_refusal() -> None:
    with pytest.raises(IndexRefused):
        root('<input type="password">')


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("{", PEP691), ("[]", PEP691), ("{}", PEP691), ("<html></html>", PEP691),
        ('{"projects": 1}', PEP691), ('{"projects": null}', "application/json"),
        ("x", "text/plain"), ("x", ""), (b"\x89PNG", "image/png"), ("", HTML),
        ("<h1>Down for maintenance</h1>", HTML), ("<html><div id=app></div></html>", HTML),
        ('<p>See <a href="https://status.example/">status</a></p>', HTML),
    ],
)  # fmt: skip
def test_what_is_no_root_page_is_an_error_since_an_empty_list_would_let_every_name_fall_back(
    body: str | bytes, content_type: str
) -> None:
    with pytest.raises(IndexBroken):
        root(body, content_type)


@given(st.binary(max_size=120), st.sampled_from([HTML, PEP691, "application/json", "text/plain"]))
@example(b'<title>Index of</title><base href="http://["><a href="x">x</a>', HTML)
@example(b'<title>Index of</title><a href="http://[">', HTML)
@example(b'{"projects":[{"name":"\\ud800"}]}', PEP691)
@example(b'{"projects":[{"name":"../x"},{"name":".."},{"name":"a/b"},{"name":"a\\r\\nb"}]}', PEP691)
@example(b'{"projects":7}', PEP691)
@example(b'{"projects":{"a":1}}', PEP691)
@example(b'{"data":{"directories":"x"}}', "application/json")
def test_any_answer_is_a_list_or_an_error_of_ours(body: bytes, content_type: str) -> None:
    try:
        found = root(body, content_type)
    except CraneError:
        return
    for name, spellings in found.projects.items() if found else ():
        if VALID.fullmatch(name):
            assert all(within(folder_url(ROOT, spelling), ROOT) for spelling in spellings)
