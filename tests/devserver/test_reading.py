"""The answers to GET and HEAD, row by row as a Crane server gives them."""

from __future__ import annotations

import pytest

from crane_devserver import Behaviour

HTML = "text/html"
PIP = (
    "application/vnd.pypi.simple.v1+json, "
    "application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
)
WHEEL = "/private/Acme.Lib/acme_lib-1.0-py3-none-any.whl"


@pytest.mark.parametrize("accept", [HTML, PIP])
@pytest.mark.parametrize("path", ["/private/", "/private/nothing/", "/unknown/"])
def test_a_page_without_token_leads_to_the_login_page(shared, accept, path):
    first = shared.get(path, accept=accept)
    assert first.status_code == 302
    assert first.headers["location"] == shared.url + "/oauth2/authorization/crane"

    second = shared.http.get(first.headers["location"])
    assert second.status_code == 302
    assert second.headers["location"].startswith(shared.url + "/idp/authorize?response_type=code&")

    login = shared.http.get(second.headers["location"])
    assert login.status_code == 200
    assert login.headers["content-type"].startswith("text/html")
    assert "Password" in login.text


@pytest.mark.parametrize("path", [WHEEL, "/private/", "/unknown/x"])
@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/octet-stream"])
def test_other_requests_without_token_are_not_found(shared, accept, path):
    response = shared.get(path, accept=accept)
    assert response.status_code == 404
    assert response.json() == {"status": "not-found", "code": 404, "resource": path}


@pytest.mark.parametrize("path", ["/private/", "/open/", "/", "/unknown/"])
def test_a_bad_token_is_refused_everywhere(shared, path):
    response = shared.get(path, Authorization="Bearer nonsense", accept=HTML)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert response.content == b""


@pytest.mark.parametrize("path", ["/private/", WHEEL, "/unknown/", "/private/missing"])
@pytest.mark.parametrize("accept", [HTML, "*/*"])
def test_a_token_without_right_finds_nothing(shared, accept, path):
    assert shared.get(path, "eve", accept=accept).status_code == 404


def test_a_forbidden_project_looks_like_a_missing_one(shared):
    forbidden = shared.get("/private/secret-lib/", "ben")
    missing = shared.get("/private/none-such/", "ben")
    assert forbidden.status_code == missing.status_code == 404
    assert forbidden.json().keys() == missing.json().keys()
    assert shared.get("/private/secret-lib/", "ada").status_code == 200


def test_the_forbidden_path_covers_what_lies_below_but_no_namesake(shared):
    wheel = "secret_lib-1.0-py3-none-any.whl"
    assert shared.get(f"/private/secret-lib/{wheel}", "ben").status_code == 404
    assert shared.get(f"/private/secret-lib/{wheel}", "ada").status_code == 200


def test_basic_credentials_count_as_none(shared):
    response = shared.get(WHEEL, Authorization="Basic YWRhOmxvdmVsYWNl", accept="*/*")
    assert response.status_code == 404
    assert shared.get("/open/free-lib/", Authorization="Basic eDp5").status_code == 200


def test_public_repositories_need_no_token(shared):
    assert shared.get("/open/free-lib/", accept=HTML).status_code == 200
    assert shared.get("/open/none/", accept=HTML).status_code == 404


def test_not_found_page(shared):
    response = shared.get("/private/missing", "ada", accept=HTML)
    assert "<title>Crane - not found</title>" in response.text
    assert response.headers["cache-control"] == "no-cache"


def test_old_builds_say_not_found_with_status_200(start):
    site = start(behaviour=Behaviour(legacy_not_found=True))
    page = site.get("/private/missing", "ada", accept=HTML)
    assert (page.status_code, "<title>Crane - not found</title>" in page.text) == (200, True)
    data = site.get("/private/missing", "ada")
    assert (data.status_code, data.json()["code"]) == (200, 404)


def test_listing_is_a_table_of_relative_links_and_contains_the_trap(shared):
    page = shared.get("/private/Acme.Lib/", "ada", accept=HTML).text
    assert '<a href="acme_lib-1.0-py3-none-any.whl">acme_lib-1.0-py3-none-any.whl</a>' in page
    assert "'404': 'Not Found'" in page
    assert "sha256" not in page
    assert '<a href="Acme.Lib/">Acme.Lib/</a>' in shared.get("/private/", "ada", accept=PIP).text


@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_listing_as_json(shared, accept):
    top = shared.get("/private/", "ada", accept=accept).json()
    assert top["status"] == "success"
    assert {"name": "Acme.Lib", "path": "/Acme.Lib"} in top["data"]["directories"]
    (file,) = shared.get("/private/Acme.Lib/", "ada", accept=accept).json()["data"]["files"]
    assert file.keys() == {"name", "lastModifiedTime", "size", "formattedSize"}
    assert "X-CSRF-TOKEN" in top["data"]


def test_listing_leaves_out_what_the_user_may_not_read(shared):
    def names(user):
        found = shared.get("/private/", user).json()["data"]["directories"]
        return {entry["name"] for entry in found}

    assert names("ada") - names("ben") == {"secret-lib"}
    assert "secret-lib" not in shared.get("/private/", "ben", accept=HTML).text


def test_index_page_replaces_the_listing(shared):
    assert shared.get("/private/paged/", "ada", accept="*/*").text == "<p>hand-made</p>"


def test_folder_without_slash_redirects_absolutely_and_loses_the_query(shared):
    response = shared.get("/private/Acme.Lib?x=1", "ada")
    assert response.status_code == 302
    assert response.headers["location"] == shared.url + "/private/Acme.Lib/"
    assert shared.get("/private", "ada").headers["location"] == shared.url + "/private/"


def test_redirects_behind_a_tls_proxy_say_http(start):
    site = start(behaviour=Behaviour(http_locations=True))
    location = site.get("/private", "ada", host="index.example").headers["location"]
    assert location == "http://index.example/private/"


@pytest.mark.parametrize(
    "path",
    [
        "/private//x",
        "/private/a;b",
        "/private/a%2Fb",
        "/private/a%2fb",
        "/private/a%25b",
        "/private/a%5Cb",
        "/private/%2e%2e/open/",
        "/private/./Acme.Lib/",
        "/private/../open/",
    ],
)
def test_odd_paths_are_refused(shared, path):
    import http.client

    # Clients tidy paths up before they send them; this one does not.
    connection = http.client.HTTPConnection(shared.url.removeprefix("http://"))
    connection.request("GET", path, headers=shared.auth("ada"))
    response = connection.getresponse()
    response.read()
    connection.close()
    assert response.status == 400


@pytest.mark.parametrize("path", ["/private/a+b.txt", "/private/a%2Bb.txt"])
def test_plus_signs_are_fine(shared, path):
    assert shared.get(path, "ada").text == "plus"


def test_start_page_lists_what_the_token_may_read(shared):
    def names(user):
        return shared.get("/", user, accept="application/json").json()["data"]["directories"]

    assert names("ada") == ["private", "open"]
    assert names("eve") == names(None) == ["open"]
    assert 'href="/private/"' in shared.get("/", "ada", accept=HTML).text


def test_discovery_leads_to_the_providers_metadata(shared):
    first = shared.get("/.well-known/configured-openid-configuration")
    assert first.status_code == 302
    document = shared.http.get(first.headers["location"]).json()
    assert document["issuer"] == shared.url + "/idp"


def test_no_other_methods(shared):
    assert shared.request("DELETE", WHEEL, "ada").status_code == 405
    assert shared.request("PUT", WHEEL, "ada").status_code == 405


def test_links_out_of_the_repository_are_not_followed(site):
    (site.root / "outside.txt").write_text("no")
    (site.root / "private" / "link.txt").symlink_to(site.root / "outside.txt")
    assert site.get("/private/link.txt", "ada").status_code == 404


def test_each_request_is_in_the_log(site):
    site.get("/private/Acme.Lib/?x=1", "ada")
    site.get(WHEEL)
    first, second = site.server.requests
    assert (first.method, first.path, first.query) == ("GET", "/private/Acme.Lib/", "x=1")
    assert (first.authorized_user, first.status) == ("ada", 200)
    assert first.header("AUTHORIZATION").startswith("Bearer ")
    assert "Bearer" not in repr(first)
    assert (second.authorized_user, second.status) == (None, 404)
    assert site.server.requests.to(WHEEL) == [second]
