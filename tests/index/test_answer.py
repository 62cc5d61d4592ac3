"""What an index's answer means: the one distinction that decides whether another may be asked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crane_core.errors import IndexBroken, IndexRefused, IndexUnreachable, SourceError
from crane_core.index.answer import Missing, PageAnswer, is_missing, read_project_answer
from crane_core.index.page import ACCEPT, ProjectPage
from crane_devserver import (
    CRANE,
    DevServer,
    Repository,
    make_wheel,
    serve_in_thread,
    wheel_metadata,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crane_core.errors import CraneError

URL = "https://crane.example/python/lib/"
HTML = "text/html;charset=UTF-8"
PEP691 = "application/vnd.pypi.simple.v1+json"
NOT_FOUND_PAGE = (
    "<!DOCTYPE html><html><head><title>Crane - not found</title></head><body>gone</body></html>"
)
LOGIN_PAGE = '<html><form action="/login"><input name="u"><input type="{}"></form></html>'
LISTING = """<html><head><title></title></head><body><table>
<tr><td><a href="../">../</a></td></tr>
<tr><td><a href="lib-1.0-py3-none-any.whl">lib-1.0-py3-none-any.whl</a></td></tr></table>
<script>const statusToText = {'404': 'Not Found'};</script></body></html>"""
SIMPLE = '<a href="lib-1.0-py3-none-any.whl">x</a>'


def answer(status: int, body: str | bytes = b"", content_type: str = HTML) -> PageAnswer:
    content = body.encode() if isinstance(body, str) else body
    return PageAnswer(URL, status, content_type, content)


def read(status: int, body: str | bytes = b"", content_type: str = HTML) -> ProjectPage | Missing:
    return read_project_answer(answer(status, body, content_type), "lib")


def names(page: ProjectPage | Missing) -> list[str]:
    assert isinstance(page, ProjectPage)
    return [file["filename"] for file in page.files]


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("content_type", [HTML, "application/json", PEP691, "text/plain", ""])
@pytest.mark.parametrize("body", ["", NOT_FOUND_PAGE, "{", SIMPLE])
def test_404_and_410_are_missing_whatever_comes_with_them(
    status: int, content_type: str, body: str
) -> None:
    assert read(status, body, content_type) == Missing()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, IndexRefused), (403, IndexRefused), (429, IndexUnreachable),
        (500, IndexUnreachable), (502, IndexUnreachable), (503, IndexUnreachable),
        (504, IndexUnreachable), (599, IndexUnreachable), (400, IndexBroken), (405, IndexBroken),
        (407, IndexBroken), (451, IndexBroken), (201, IndexBroken), (204, IndexBroken),
        (206, IndexBroken), (301, IndexBroken), (302, IndexBroken), (304, IndexBroken),
    ],
)  # fmt: skip
@pytest.mark.parametrize("body", ["", SIMPLE, NOT_FOUND_PAGE])
def test_other_statuses_are_errors_whatever_comes_with_them(
    status: int, error: type[CraneError], body: str
) -> None:
    with pytest.raises(error) as raised:
        read(status, body)
    assert str(status) in raised.value.message
    assert URL in raised.value.message


def test_a_listing_whose_script_says_not_found_is_a_page() -> None:
    assert names(read(200, LISTING)) == ["lib-1.0-py3-none-any.whl"]


def test_an_older_servers_not_found_page_with_status_200_is_missing() -> None:
    assert read(200, NOT_FOUND_PAGE) == Missing()


def test_an_older_servers_not_found_json_with_status_200_is_missing() -> None:
    body = {"status": "not-found", "code": 404, "resource": "/python/lib/"}
    assert read(200, json.dumps(body), "application/json") == Missing()


@pytest.mark.parametrize(
    "body",
    [
        "<title>Crane - not found!</title>",
        "<title>Not found</title>",
        "<title>Links for lib</title><h1>Crane - not found</h1>",
        "<h1>404 Not Found</h1>",
        '<title>Links</title><a href="lib-1.0.zip">Crane - not found</a>',
    ],
)
def test_a_page_that_only_resembles_the_not_found_page_is_a_page(body: str) -> None:
    assert names(read(200, body + SIMPLE))[-1:] == ["lib-1.0-py3-none-any.whl"]


@pytest.mark.parametrize(
    "body",
    ["", "<title>Not found</title>", "<h1>404 Not Found</h1>", "<title>Crane - not found!</title>"],
)
def test_a_page_that_is_neither_is_an_error(body: str) -> None:
    with pytest.raises(IndexBroken):
        read(200, body)


@pytest.mark.parametrize(
    "body",
    [
        '{"status":"not-found"}', '{"code":404}', '{"status":"error","code":404}',
        '{"status":"not-found","code":"404"}', '{"status":"forbidden","code":403}', "[]", "",
    ],
)  # fmt: skip
def test_json_that_only_resembles_the_not_found_answer_is_an_error(body: str) -> None:
    with pytest.raises(IndexBroken):
        read(200, body, "application/json")


@pytest.mark.parametrize("kind", ["password", "PASSWORD", "Password"])
def test_a_login_page_is_a_refusal(kind: str) -> None:
    with pytest.raises(IndexRefused, match="login page"):
        read(200, LOGIN_PAGE.format(kind))


@pytest.mark.parametrize("field", ["<input type=password>", "<input type='password'>"])
def test_a_login_page_is_known_however_its_field_is_quoted(field: str) -> None:
    with pytest.raises(IndexRefused, match="login page"):
        read(200, f"<form>{field}</form>")


@pytest.mark.parametrize(
    "content_type",
    ["text/html", "TEXT/HTML; charset=utf-8", "application/vnd.pypi.simple.v1+html",
     "application/xhtml+xml", " text/html "],
)  # fmt: skip
def test_every_name_of_html_is_html(content_type: str) -> None:
    assert names(read(200, SIMPLE, content_type)) == ["lib-1.0-py3-none-any.whl"]


@pytest.mark.parametrize("content_type", [PEP691, "application/json", f"{PEP691}; charset=utf-8"])
def test_every_name_of_json_is_json(content_type: str) -> None:
    body = {"meta": {"api-version": "1.0"}, "name": "lib", "files": []}
    assert names(read(200, json.dumps(body), content_type)) == []


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/octet-stream", "image/png", "application/xml", "text/htmlx",
     "application/vnd.pypi.simple.v2+json", "multipart/form-data", "text/html-evil"],
)  # fmt: skip
@pytest.mark.parametrize("body", [SIMPLE, '{"meta":{"api-version":"1.0"},"files":[]}'])
def test_another_content_type_is_an_error(content_type: str, body: str) -> None:
    with pytest.raises(IndexBroken, match="no index page"):
        read(200, body, content_type)


def test_a_json_listing_of_a_folder_is_a_page() -> None:
    data = {
        "directories": [{"name": "sub", "path": "/lib/sub"}],
        "files": [
            {"name": 'lib-1.0+a"b.tar.gz', "size": 1},
            {"name": "lib-1.0-py3-none-any.whl", "size": 1},
            {"name": "lib-1.0-py3-none-any.whl.metadata", "size": 1},
            {"name": "notes.txt", "size": 1},
            {"name": None},
            {},
        ],
        "X-CSRF-TOKEN": "secret",
    }
    body = json.dumps({"status": "success", "data": data})
    page = read(200, body, "application/json")
    assert isinstance(page, ProjectPage)
    assert [(f["filename"], f["url"], f.get("core-metadata")) for f in page.files] == [
        ('lib-1.0+a"b.tar.gz', f"{URL}lib-1.0%2Ba%22b.tar.gz", None),
        ("lib-1.0-py3-none-any.whl", f"{URL}lib-1.0-py3-none-any.whl", True),
    ]
    assert b"secret" not in page.to_json()


@pytest.mark.parametrize("files", ['"x"', "null", "{}", "[1]", '["a.whl"]', '[{"name":["a.whl"]}]'])
def test_a_json_listing_that_is_malformed_is_no_crash(files: str) -> None:
    body = f'{{"status":"success","data":{{"files":{files}}}}}'
    try:
        page = read(200, body, "application/json")
    except IndexBroken:
        return
    assert names(page) == []


@given(
    st.integers(100, 599),
    st.binary(max_size=80),
    st.sampled_from([HTML, "application/json", PEP691, "text/plain", "", "text/html;charset=x"]),
)
def test_any_answer_is_a_page_or_missing_or_an_error_of_ours(
    status: int, body: bytes, content_type: str
) -> None:
    try:
        found = read(status, body, content_type)
    except SourceError:
        assert status not in {404, 410}
        return
    assert (found == Missing()) == (status in {404, 410}) or is_missing(answer(status, body))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DevServer, str]]:
    folder = tmp_path_factory.mktemp("crane")
    wheel = make_wheel(folder / "lib", "lib", "1.0")
    wheel.with_name(wheel.name + ".metadata").write_bytes(wheel_metadata(wheel))
    users = {"ada": ("x", ("readers",)), "eve": ("x", ())}
    repository = Repository("python", folder, read_groups=frozenset({"readers"}))
    server = DevServer([repository], users)
    with serve_in_thread(server) as url:
        yield server, url


class TestTheTableOfACraneServer:
    """Each row of the protocol notes, asked of the stand-in with the headers that crane sends."""

    def ask(
        self,
        server: tuple[DevServer, str],
        path: str,
        user: str | None,
        *,
        accept: str = ACCEPT,
        lifetime: int | None = None,
    ) -> PageAnswer:
        app, url = server
        headers = {"accept": accept}
        if user:
            token = app.provider.issue_token(user, lifetime=lifetime)
            headers["authorization"] = f"Bearer {token}"
        with httpx2.Client(trust_env=False) as http:
            got = http.get(url + path, headers=headers)
        return PageAnswer(
            str(got.url), got.status_code, got.headers.get("content-type", ""), got.content
        )

    @pytest.fixture
    def legacy(self, server: tuple[DevServer, str]) -> Iterator[None]:
        app = server[0].crane
        app.behaviour = replace(app.behaviour, legacy_not_found=True)
        yield
        app.behaviour = CRANE

    @pytest.mark.parametrize("accept", [ACCEPT, "application/json", "*/*", "text/html"])
    def test_a_readable_folder_is_a_page(self, server: tuple[DevServer, str], accept: str) -> None:
        page = read_project_answer(self.ask(server, "/python/lib/", "ada", accept=accept), "lib")
        assert names(page) == ["lib-1.0-py3-none-any.whl"]
        assert isinstance(page, ProjectPage)
        assert page.files[0]["core-metadata"] is True
        assert page.files[0]["url"] == f"{server[1]}/python/lib/lib-1.0-py3-none-any.whl"

    @pytest.mark.parametrize("accept", [ACCEPT, "application/json", "text/html"])
    @pytest.mark.parametrize(
        ("path", "user"), [("/python/none/", "ada"), ("/none/lib/", "ada"), ("/python/lib/", "eve")]
    )
    def test_a_missing_and_a_forbidden_folder_look_the_same(
        self, server: tuple[DevServer, str], path: str, user: str, accept: str
    ) -> None:
        found = read_project_answer(self.ask(server, path, user, accept=accept), "lib")
        assert found == Missing()

    @pytest.mark.usefixtures("legacy")
    @pytest.mark.parametrize("accept", [ACCEPT, "application/json", "text/html"])
    def test_an_older_server_says_it_with_status_200(
        self, server: tuple[DevServer, str], accept: str
    ) -> None:
        got = self.ask(server, "/python/none/", "ada", accept=accept)
        assert got.status == 200
        assert read_project_answer(got, "lib") == Missing()

    @pytest.mark.parametrize("path", ["/python/lib/", "/none/lib/"])
    def test_without_a_token_a_page_leads_to_a_login(
        self, server: tuple[DevServer, str], path: str
    ) -> None:
        got = self.ask(server, path, None)
        assert got.status == 302
        with pytest.raises(SourceError):
            read_project_answer(got, "lib")

    @pytest.mark.parametrize("path", ["/python/lib/", "/none/lib/"])
    def test_an_expired_token_is_a_refusal(self, server: tuple[DevServer, str], path: str) -> None:
        got = self.ask(server, path, "ada", lifetime=-3600)
        assert got.status == 401
        with pytest.raises(IndexRefused):
            read_project_answer(got, "lib")

    @pytest.mark.parametrize("path", ["/python//lib/", "/python/lib;x/", "/python/a%2Fb/"])
    def test_a_path_that_the_server_refuses_is_an_error(
        self, server: tuple[DevServer, str], path: str
    ) -> None:
        with pytest.raises(IndexBroken):
            read_project_answer(self.ask(server, path, "ada"), "lib")
