"""Faults on purpose, as tests of clients need them."""

from __future__ import annotations

import re
import time

import httpx2
import pytest

from crane_devserver import Fault

WHEEL = "/private/Acme.Lib/acme_lib-1.0-py3-none-any.whl"


@pytest.fixture
def site(shared):
    yield shared
    shared.server.faults.clear()
    shared.server.provider.faults.clear()


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_a_canned_status(site, status):
    headers = (("Retry-After", "7"),)
    with site.server.faults.during(Fault("/private/", status, headers, body="sorry")):
        response = site.get(WHEEL, "ada")
        assert (response.status_code, response.text) == (status, "sorry")
        assert response.headers["retry-after"] == "7"
        assert site.get("/open/free-lib/").status_code == 200
    assert site.get(WHEEL, "ada").status_code == 200


def test_faults_end_by_themselves(site):
    site.server.faults.append(Fault(status=503, times=2))
    assert [site.get("/open/free-lib/").status_code for _ in range(3)] == [503, 503, 200]


def test_faults_by_pattern_and_method(site):
    site.server.faults.append(Fault(re.compile(r"\.whl$"), 500, methods=frozenset({"GET"})))
    assert site.get(WHEEL, "ada").status_code == 500
    assert site.request("HEAD", WHEEL, "ada").status_code == 200
    assert site.get("/private/", "ada").status_code == 200


def test_a_login_page_with_200(site):
    page = (("Content-Type", "text/html"),)
    site.server.faults.append(Fault("/private/", 200, page, "<form>Sign in</form>"))
    assert "Sign in" in site.get(WHEEL, "ada").text


def test_a_redirect_to_another_host(site):
    site.server.faults.append(Fault(WHEEL, 302, (("Location", "https://evil.example/x"),)))
    assert site.get(WHEEL, "ada").headers["location"] == "https://evil.example/x"


@pytest.mark.parametrize("limit", [0, 10, 10**9])
def test_a_truncated_body(site, limit):
    site.server.faults.append(Fault(WHEEL, cut_after_bytes=limit))
    with pytest.raises(httpx2.RemoteProtocolError):
        site.get(WHEEL, "ada")
    assert site.server.requests[-1].status == 200


def test_a_truncated_canned_body(site):
    fault = Fault(WHEEL, 200, (("Content-Length", "100"),), b"x" * 100, cut_after_bytes=40)
    site.server.faults.append(fault)
    with pytest.raises(httpx2.RemoteProtocolError):
        site.get(WHEEL, "ada")


def test_a_delay_longer_than_the_client_waits(site):
    site.server.faults.append(Fault("/open/", delay_seconds=60))
    with pytest.raises(httpx2.ReadTimeout):
        site.http.get(site.url + "/open/", timeout=0.05)


def test_a_short_delay(site):
    site.server.faults.append(Fault("/open/", delay_seconds=0.1))
    start = time.monotonic()
    assert site.get("/open/").status_code == 200
    assert time.monotonic() - start >= 0.1


def test_a_slow_body(site):
    site.server.faults.append(Fault("/open/", 200, body=b"x" * 100, bytes_per_second=1000))
    start = time.monotonic()
    assert site.get("/open/").content == b"x" * 100
    assert time.monotonic() - start >= 0.09


def test_the_provider_fails_too(site):
    site.server.provider.faults.append(Fault("/idp/token", 503, times=1))
    assert site.token(grant_type="x").status_code == 503
    assert site.token(grant_type="x").status_code == 400
    assert [r.status for r in site.server.provider.requests.to("/idp/token")] == [503, 400]


def test_the_list(site):
    faults = site.server.faults
    first, second = Fault("/a", 500), Fault("/b", 500)
    faults.append(first)
    faults.append(second)
    faults.remove(first)
    assert (list(faults), len(faults)) == ([second], 1)
    faults.clear()
    assert list(faults) == []
