"""Private first: who answers for a name, and who is never asked."""

from __future__ import annotations

import re
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from gateway.harness import Gate, Home, asked_public, index_of

from crane_core.gateway import machinery
from crane_core.http import TimeLimits
from crane_devserver import Fault

if TYPE_CHECKING:
    from gateway.conftest import Site
    from support.world import World

    from crane_core.config.model import Index

LOGIN = '<html><form><input name="u"><input type="password"></form></html>'
HTML = (("content-type", "text/html;charset=UTF-8"),)
PEP691 = (("content-type", "application/vnd.pypi.simple.v1+json"),)
JSON = (("content-type", "application/json"),)
FAILURES = {
    "401": (Fault(status=401), 403),
    "403": (Fault(status=403), 403),
    "429": (Fault(status=429, headers=(("retry-after", "1"),)), 504),
    "500": (Fault(status=500), 504),
    "503": (Fault(status=503), 504),
    "400": (Fault(status=400), 502),
    "204 without a page": (Fault(status=204), 502),
    "a login page with status 200": (Fault(status=200, headers=HTML, body=LOGIN), 403),
    "a redirect to a login": (Fault(status=302, headers=(("location", "/oauth2/x"),)), 403),
    "a redirect to another host": (
        Fault(status=302, headers=(("location", "http://127.0.0.1:9/python/x/"),)),
        403,
    ),
    "a redirect that never ends": (
        Fault(status=302, headers=(("location", "/python/a-redirect-that-never-ends/"),)),
        504,
    ),
    "a redirect to no URL": (Fault(status=302, headers=(("location", "http://[::1"),)), 502),
    "a page that is cut": (Fault(cut_after_bytes=40), 504),
    "a cut before the first byte": (Fault(cut_after_bytes=0), 504),
    "JSON that does not parse": (Fault(status=200, headers=PEP691, body="{"), 502),
    "plain JSON that is no page": (Fault(status=200, headers=JSON, body="{}"), 502),
    "a simple API of version 2": (
        Fault(status=200, headers=PEP691, body='{"meta":{"api-version":"2.0"},"files":[]}'),
        502,
    ),
    "a picture": (Fault(status=200, headers=(("content-type", "image/png"),), body=b"\x89"), 502),
    "no content type": (Fault(status=200, body="<a href='x-1.0.tar.gz'>x</a>"), 502),
    "a base tag that is no URL": (
        Fault(status=200, headers=HTML, body='<base href="http://[::1"><a href="x">x</a>'),
        502,
    ),
}


def test_the_private_index_wins_over_a_higher_public_version(site: Site) -> None:
    site.world.add_private("secret-one", "1.0")
    site.world.add_public("secret-one", "9.0")

    assert site.gate.names("secret-one") == ["secret_one-1.0-py3-none-any.whl"]
    assert site.asked_public("secret-one") == []


def test_a_name_that_only_the_public_index_has_comes_from_there(site: Site) -> None:
    site.world.add_public("public-lib", "2.0")

    files = site.gate.files("public-lib")

    assert [file["filename"] for file in files] == ["public_lib-2.0-py3-none-any.whl"]
    assert files[0]["url"].startswith(site.world.public_url), "its files are the public index's own"
    assert site.asked_public("public-lib") == ["/simple/public-lib/"]


def test_a_name_that_nobody_has_is_a_404_that_says_who_was_asked(site: Site) -> None:
    answer = site.gate.project("nobody-has-this")

    assert answer.status_code == 404
    assert answer.text.startswith("crane: ")
    assert "nobody-has-this" in answer.text
    assert "python" in answer.text


@pytest.mark.parametrize("what", FAILURES)
def test_anything_but_a_true_404_is_an_error_and_the_public_index_is_never_asked(
    site: Site, what: str
) -> None:
    fault, status = FAILURES[what]
    name = re.sub(r"[^a-z0-9]+", "-", what.lower()).strip("-")
    site.world.add_private(name)
    site.world.add_public(name, "9.0")

    with site.world.crane.faults.during(replace(fault, path=f"/python/{name}/")):
        answer = site.gate.project(name)

    assert site.asked_public(name) == []
    assert answer.status_code == status
    assert answer.reason_phrase.startswith("crane: ")


@pytest.mark.parametrize("what", ["401", "500", "a login page with status 200", "403"])
@pytest.mark.parametrize("path", ["/python/simple/", "/python/"])
def test_a_root_page_that_fails_is_an_error_and_the_public_index_is_never_asked(
    site: Site, what: str, path: str
) -> None:
    fault, status = FAILURES[what]
    with (
        site.world.crane.faults.during(replace(fault, path=re.compile(f"^{path}$"))),
        # Another gateway: the shared one has read the root page already.
        site.home.serve(site.index) as gate,
    ):
        answer = gate.project("unknown-lib")

    assert (site.asked_public("unknown-lib"), answer.status_code) == ([], status)


def test_a_silent_index_is_an_error_and_the_public_index_is_never_asked(
    world: World, home: Home, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machinery, "PAGE_LIMITS", TimeLimits(connect=1, read=0.2, pool=1))
    world.add_public("secret-lib", "9.0")
    home.login(index)
    world.crane.faults.append(Fault("/python/secret-lib", delay_seconds=30))
    with home.serve(index) as gate:
        answer = gate.project("secret-lib")

    assert answer.status_code == 504
    assert "did not answer in time" in answer.reason_phrase
    assert asked_public(world) == []


def test_an_index_that_does_not_listen_is_an_error_and_the_public_index_is_never_asked(
    world: World, home: Home
) -> None:
    world.add_public("secret-lib", "9.0")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        index = index_of(world, url=f"http://127.0.0.1:{unused.getsockname()[1]}/python")
        home.login(index)
        with home.serve(index) as gate:
            answer = gate.project("secret-lib")

    assert answer.status_code == 504
    assert "cannot connect to 127.0.0.1" in answer.reason_phrase
    assert asked_public(world) == []


def test_an_older_servers_not_found_page_counts_as_missing(world: World, gate: Gate) -> None:
    world.crane.behaviour = replace(world.crane.behaviour, legacy_not_found=True)
    world.add_public("public-lib", "2.0")

    assert gate.names("public-lib") == ["public_lib-2.0-py3-none-any.whl"]


def test_a_listing_whose_script_says_not_found_is_no_missing_page(site: Site) -> None:
    site.world.add_private("secret-two")
    site.world.add_public("secret-two", "9.0")
    token = site.home.session(site.index).tokens.access_token.reveal()
    accept = {"accept": "text/html", "authorization": f"Bearer {token}"}
    listing = site.gate.get(f"{site.world.index_url}/secret-two/", **accept)
    assert "'404': 'Not Found'" in listing.text, "the trap is there"

    assert site.gate.names("secret-two") == ["secret_two-1.0-py3-none-any.whl"]


@pytest.mark.parametrize("pattern", ["acme-*", "Acme_*", "ACME.*", "acme-tool"])
def test_a_private_pattern_never_falls_back(world: World, home: Home, pattern: str) -> None:
    world.add_public("acme-tool", "9.0")
    world.add_public("other-tool", "1.0")
    index = index_of(world, private=(pattern,))
    home.login(index)
    with home.serve(index) as gate:
        answer = gate.project("acme-tool")
        other = gate.project("other-tool")

    assert answer.status_code == 403
    assert "private" in answer.reason_phrase
    assert other.status_code == 200
    assert asked_public(world) == ["/simple/other-tool/"]


def test_without_a_fallback_nobody_else_is_asked(world: World, home: Home) -> None:
    world.add_public("public-lib")
    index = index_of(world, fallback="none")
    home.login(index)
    with home.serve(index) as gate:
        assert gate.project("public-lib").status_code == 404
    assert asked_public(world) == []


@pytest.mark.parametrize("asked", ["Spelt_Lib", "spelt.lib", "SPELT-LIB", "spelt--lib"])
def test_an_odd_spelling_is_redirected_to_the_normalised_one_before_anybody_is_asked(
    site: Site, asked: str
) -> None:
    before = len(site.world.crane.requests)

    answer = site.gate.project(asked)

    assert (answer.status_code, answer.headers["location"]) == (301, "/python/simple/spelt-lib/")
    assert len(site.world.crane.requests) == before
    assert site.asked_public("spelt") == []


@pytest.mark.parametrize(
    "name",
    [
        "a%3Fb", "a%23", "%2e%2e", "a%25", "a%20b", "a%00", "a%0d%0ab", "a%5Cb", "a%3Bb",
        "A%0D%0Aset-cookie%3A%20x", "%C3%A9", "%E2%82%AC", "-", "a%40b",
    ],
)  # fmt: skip
def test_what_is_no_project_name_is_a_404_and_nobody_is_asked(site: Site, name: str) -> None:
    before = len(site.world.crane.requests), len(site.world.public_server.requests)

    answer = site.gate.project(name)

    assert answer.status_code in {400, 404}, answer.reason_phrase
    assert "set-cookie" not in answer.headers
    assert (len(site.world.crane.requests), len(site.world.public_server.requests)) == before
