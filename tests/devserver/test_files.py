"""How files come: cache headers, conditional requests, and the flags for other indexes."""

from __future__ import annotations

import os

import httpx2
import pytest

from crane_devserver import STATIC_INDEX, Behaviour

WHEEL = "/private/Acme.Lib/acme_lib-1.0-py3-none-any.whl"
FREE = "/open/free-lib/free_lib-1.0-py3-none-any.whl"


def test_a_file_is_chunked_without_etag_or_ranges(shared):
    response = shared.get(WHEEL, "ada", range="bytes=0-3")
    assert response.status_code == 200
    assert response.headers["transfer-encoding"] == "chunked"
    for absent in ("content-length", "etag", "accept-ranges"):
        assert absent not in response.headers
    assert response.content == (shared.root / WHEEL[1:]).read_bytes()


def test_nothing_may_be_stored_by_default(shared):
    expected = "no-cache, no-store, max-age=0, must-revalidate"
    assert shared.get(WHEEL, "ada").headers["cache-control"] == expected
    assert shared.get("/private/", "ada").headers["cache-control"] == expected


def test_a_repository_may_allow_storing(shared):
    assert shared.get(FREE).headers["cache-control"] == "max-age=3600"


def test_not_modified_since(shared):
    stamp = shared.get(WHEEL, "ada").headers["last-modified"]
    again = shared.get(WHEEL, "ada", if_modified_since=stamp)
    assert (again.status_code, again.content) == (304, b"")


def test_modified_since(site):
    stamp = site.get(WHEEL, "ada").headers["last-modified"]
    file = site.root / WHEEL[1:]
    os.utime(file, (file.stat().st_mtime + 10,) * 2)
    assert site.get(WHEEL, "ada", if_modified_since=stamp).status_code == 200


def test_an_etag_in_the_request_switches_304_off(shared):
    stamp = shared.get(WHEEL, "ada").headers["last-modified"]
    response = shared.get(WHEEL, "ada", if_modified_since=stamp, if_none_match='"x"')
    assert response.status_code == 200


def test_nonsense_dates_are_passed_over(shared):
    assert shared.get(WHEEL, "ada", if_modified_since="yesterday").status_code == 200


def test_head(shared):
    response = shared.request("HEAD", WHEEL, "ada")
    assert (response.status_code, response.content) == (200, b"")
    assert "last-modified" in response.headers


def test_a_file_is_no_folder(shared):
    assert shared.get(WHEEL + "/", "ada").status_code == 404


@pytest.fixture(scope="module")
def static(tmp_path_factory, run):
    with run(tmp_path_factory.mktemp("static"), behaviour=STATIC_INDEX) as site:
        yield site


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=0-3", 206, slice(0, 4)),
        ("bytes=2-", 206, slice(2, None)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=0-999999", 200, slice(None)),
        ("bytes=9999999-", 416, slice(0)),
        ("bytes=-0", 416, slice(0)),
        ("lines=1-2", 200, slice(None)),
    ],
)
def test_ranges(static, wanted, status, part):
    data = (static.root / WHEEL[1:]).read_bytes()
    response = static.get(WHEEL, "ada", range=wanted)
    assert response.status_code == status
    assert response.content == data[part]
    assert int(response.headers["content-length"]) == len(data[part])
    if status == 206:
        first = len(data[: part.start]) if part.start >= 0 else len(data) + part.start
        last = first + len(response.content) - 1
        assert response.headers["content-range"] == f"bytes {first}-{last}/{len(data)}"


def test_etags(static):
    tag = static.get(WHEEL, "ada").headers["etag"]
    assert static.get(WHEEL, "ada", if_none_match=tag).status_code == 304
    assert static.get(WHEEL, "ada", if_none_match='"other"').status_code == 200


def test_lengths(static):
    assert "content-length" in static.get("/private/", "ada").headers
    head = static.request("HEAD", WHEEL, "ada")
    assert int(head.headers["content-length"]) == (static.root / WHEEL[1:]).stat().st_size


def test_a_static_index_asks_for_a_token(static):
    response = static.get(WHEEL, accept="text/html")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="crane"'


def test_an_index_may_say_forbidden(start):
    site = start(behaviour=Behaviour(forbidden_status=403))
    assert site.get(WHEEL, "eve").status_code == 403


def test_protected_resource_metadata(start):
    site = start(behaviour=Behaviour(resource_metadata=True))
    header = site.get(WHEEL).headers["www-authenticate"]
    metadata = f"{site.url}/.well-known/oauth-protected-resource/private"
    assert header == f'Bearer resource_metadata="{metadata}"'
    document = httpx2.get(metadata, trust_env=False).json()
    assert document["resource"] == site.url + "/private"
    assert document["authorization_servers"] == [site.url + "/idp"]
