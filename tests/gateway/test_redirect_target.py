"""Redirects between schemes and hosts, which decide whether a token may follow."""

from __future__ import annotations

import httpx2
import pytest

from crane_core.config.model import Index
from crane_core.errors import CraneError, IndexRefused, InsecureURL
from crane_core.gateway.upstream import redirect_target

INDEX = Index("python", "https://crane.example/python", issuer="https://sso.example")
PAGE = "https://crane.example/python/lib/"
FILE = "https://crane.example/python/lib/lib-1.0.tar.gz"


def target(
    url: str, location: str | None, *, index: Index | None = INDEX, status: int = 302
) -> str | None:
    headers = {} if location is None else {"location": location}
    return redirect_target(httpx2.Response(status, headers=headers), url, index)


@pytest.mark.parametrize("status", [200, 304, 401, 404, 500, 300, 305])
def test_other_statuses_lead_nowhere_whatever_their_headers_say(status: int) -> None:
    assert target(FILE, "https://evil.example/", status=status) is None


def test_a_redirect_without_location_leads_nowhere() -> None:
    assert target(FILE, None) is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/python/lib2/", "../lib2/", PAGE.replace("lib", "lib2")])
def test_a_redirect_within_the_index_is_followed(status: int, location: str) -> None:
    assert target(PAGE, location, status=status) == "https://crane.example/python/lib2/"


@pytest.mark.parametrize(
    "location",
    ["http://crane.example/python/lib/", "http://crane.example:80/python/lib/",
     "HTTP://CRANE.example/python/lib/", "http://crane.example:8080/python/lib/"],
)  # fmt: skip
def test_plain_http_on_the_same_host_is_taken_for_https(location: str) -> None:
    """A server behind a proxy that ends TLS names its own http address."""
    assert target(PAGE.replace("lib/", "lib"), location) == PAGE


@pytest.mark.parametrize("url", [PAGE, FILE])
def test_plain_http_on_another_host_is_refused(url: str) -> None:
    with pytest.raises(IndexRefused, match="from https to plain http"):
        target(url, "http://cdn.example/lib-1.0.tar.gz")


def test_plain_http_on_the_same_host_outside_of_the_index_is_refused() -> None:
    with pytest.raises(IndexRefused):
        target(FILE, "http://crane.example/other/lib-1.0.tar.gz")


def test_a_file_may_lie_on_another_https_host() -> None:
    assert target(FILE, "https://cdn.example/x?sig=1") == "https://cdn.example/x?sig=1"


@pytest.mark.parametrize("location", ["https://cdn.example/lib/", "//cdn.example/python/lib/"])
def test_a_page_may_not(location: str) -> None:
    with pytest.raises(IndexRefused, match=r"redirects to https://cdn\.example"):
        target(PAGE, location)


@pytest.mark.parametrize(
    "location",
    ["https://crane.example:8443/python/lib/x.whl", "https://crane.example.evil.example/python/x",
     "https://crane.example@evil.example/python/x"],
)  # fmt: skip
def test_another_port_or_a_host_that_looks_alike_is_another_host(location: str) -> None:
    with pytest.raises(IndexRefused):
        target(PAGE, location)


def test_a_file_of_a_plain_http_index_may_not_go_to_plain_http_elsewhere() -> None:
    index = Index("local", "http://127.0.0.1:8000/python", issuer="https://sso.example")
    with pytest.raises(InsecureURL):
        target("http://127.0.0.1:8000/python/x.whl", "http://cdn.example/x.whl", index=index)


@pytest.mark.parametrize("location", ["javascript:alert(1)", "file:///etc/passwd", "data:,x"])
@pytest.mark.parametrize("index", [INDEX, None])
def test_no_other_scheme_is_followed(location: str, index: Index | None) -> None:
    with pytest.raises(CraneError):
        target(FILE, location, index=index)


@pytest.mark.parametrize("location", ["http://[::1", "https://crane.example:port/", "//["])
@pytest.mark.parametrize("index", [INDEX, None])
def test_what_is_no_url_is_an_error_of_ours(location: str, index: Index | None) -> None:
    with pytest.raises(CraneError):
        target(FILE, location, index=index)


@pytest.mark.parametrize(
    "location",
    ["/python/../other/x.whl", "/python/%2e%2e/other/x.whl", "/python/..%2fother/x.whl",
     "/python/..%5cother/x.whl", "/python/..;/other/x.whl", "/python2/x.whl", "/Python/x.whl"],
)  # fmt: skip
def test_a_path_that_a_server_might_resolve_elsewhere_is_refused(location: str) -> None:
    with pytest.raises(IndexRefused):
        target(FILE, location)


def test_a_public_index_may_redirect_where_it_likes_but_not_down_to_http() -> None:
    page = "https://pypi.example/simple/lib/"
    assert target(page, "https://other.example/lib/", index=None) == "https://other.example/lib/"
    with pytest.raises(IndexRefused):
        target(page, "http://other.example/lib/", index=None)
