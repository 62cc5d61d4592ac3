"""Uploads: by POST to the file's own path, once, by those who may write."""

from __future__ import annotations

import socket

import pytest

from crane_devserver import Behaviour

NEW = "/private/new/deep/lib-1.0.tar.gz"
FORBIDDEN = {"status": "forbidden", "code": 403}


def post(site, path, user, **parts):
    headers = site.auth(user) if user else {}
    return site.http.post(site.url + path, headers=headers, files=parts)


def message(response):
    return response.json()["data"]["message"]


def test_upload_makes_folders(site):
    response = post(site, NEW, "ada", file=("any-name", b"content"))
    assert (response.status_code, response.json()["status"]) == (200, "success")
    assert message(response) == "File upload succeeded"
    assert site.get(NEW, "ada").content == b"content"


def test_upload_of_some_megabytes_among_other_parts(site):
    data = bytes(range(256)) * 16_000
    response = post(site, NEW, "ada", before=("x", b"no"), file=("y", data), after=("z", b"no"))
    assert response.status_code == 200
    assert (site.root / NEW[1:]).read_bytes() == data


def test_no_overwriting(site):
    post(site, NEW, "ada", file=("x", b"first"))
    response = post(site, NEW, "ada", file=("x", b"second"))
    assert (response.status_code, response.json()["status"]) == (400, "fail")
    assert message(response) == "File private/new/deep/lib-1.0.tar.gz already exists"
    assert site.get(NEW, "ada").content == b"first"


def test_the_part_must_be_called_file(site):
    response = post(site, NEW, "ada", content=("x", b"data"))
    assert response.status_code == 400
    assert message(response) == "Upload failed. No parameter named `file` found"
    assert not (site.root / NEW[1:]).exists()


def test_the_body_must_be_multipart(site):
    response = site.http.post(site.url + NEW, headers=site.auth("ada"), content=b"raw")
    assert response.status_code == 400
    assert message(response) == "Request wasn't a multipart form"


def test_a_broken_body_fails(site):
    headers = site.auth("ada") | {"Content-Type": "multipart/form-data; boundary=b"}
    response = site.http.post(site.url + NEW, headers=headers, content=b"no boundary here")
    assert (response.status_code, message(response)) == (400, "File upload failed")
    assert not list((site.root / NEW[1:]).parent.glob("*"))


@pytest.mark.parametrize("user", ["ben", "eve", None])
def test_no_right_to_write(site, user):
    response = post(site, NEW, user, file=("x", b"data"))
    assert response.status_code == 403
    assert response.json() == FORBIDDEN | {"resource": NEW}


def test_narrower_rules_hold_for_uploads_too(site):
    assert post(site, "/private/secret-lib/x.whl", "ada", file=("x", b"")).status_code == 403


@pytest.mark.parametrize("path", ["/unknown/x.whl", "/private", "/private/"])
def test_nowhere_to_write(site, path):
    assert post(site, path, "ada", file=("x", b"data")).status_code == 403


def test_bad_token(site):
    headers = {"Authorization": "Bearer nonsense"}
    response = site.http.post(site.url + NEW, headers=headers, files={"file": ("x", b"")})
    assert response.status_code == 401


def abort(site):
    """Send the head of an upload and hang up; returns when the server has noticed."""
    host, port = site.url.removeprefix("http://").split(":")
    lines = [f"POST {NEW} HTTP/1.1", "Host: x", "Content-Length: 100000"]
    lines += [f"Authorization: {site.auth('ada')['Authorization']}"]
    lines += ["Content-Type: multipart/form-data; boundary=b", "", "--b"]
    lines += ['Content-Disposition: form-data; name="file"; filename="x"', "", "half"]
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall("\r\n".join(lines).encode())
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1000)


def test_an_aborted_upload_leaves_nothing(site):
    abort(site)
    assert post(site, NEW, "ada", file=("x", b"whole")).status_code == 200


def test_an_aborted_upload_may_block_every_retry(start):
    site = start(behaviour=Behaviour(partial_uploads=True))
    abort(site)
    response = post(site, NEW, "ada", file=("x", b"whole"))
    assert response.status_code == 400
    assert "already exists" in message(response)
    assert post(site, NEW + "2", "ada", file=("x", b"whole")).status_code == 200


def test_partial_uploads_leave_nothing_without_a_file(start):
    site = start(behaviour=Behaviour(partial_uploads=True))
    assert post(site, NEW, "ada", other=("x", b"whole")).status_code == 400
    assert post(site, NEW, "ada", file=("x", b"whole")).status_code == 200
