"""The gateway's own pages: what they show, whom they are for, and that no secret is on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gateway.harness import Gate, Home, index_of
from prometheus_client.parser import text_string_to_metric_families

from crane_core.auth.model import session_key
from crane_core.gateway.guard import Guard
from crane_core.secret import Secret

if TYPE_CHECKING:
    from support.world import World


def metrics(gate: Gate) -> dict[tuple[str, ...], float]:
    """Return each sample by its name and the values of its labels, in the order of their names."""
    answer = gate.get("/-/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    return {
        (s.name, *(s.labels[n] for n in sorted(s.labels))): s.value
        for family in families
        for s in family.samples
    }


def test_the_page_shows_index_login_and_last_requests(gate: Gate, world: World) -> None:
    world.add_private("seen-lib")
    (file,) = gate.files("seen-lib")
    assert gate.get(file["url"]).status_code == 200
    page = gate.get("/-/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for shown in ("python", world.index_url, world.public_url, "logged in", "seen-lib", "seen_lib"):
        assert shown in page.text, shown


def test_what_failed_is_shown_and_names_are_only_text(gate: Gate) -> None:
    gate.get("/python/files/python/%3Cscript%3Ealert(1)%3C/script%3E-1.0.zip")
    page = gate.get("/-/").text
    assert "<script" not in page
    assert "&lt;script&gt;" in page or "script&gt;-1.0.zip" in page


def test_no_token_is_on_any_of_them(gate: Gate, home: Home, world: World) -> None:
    world.add_private("lib")
    assert gate.files("lib")
    session = home.session(index_of(world))
    assert session is not None
    secrets = [session.tokens.access_token, session.tokens.refresh_token]
    shown = gate.get("/-/").text + gate.get("/-/metrics").text + gate.get("/-/health").text
    for secret in secrets:
        assert secret is not None
        assert secret.reveal() not in shown


def test_requests_and_bytes_are_counted(gate: Gate, world: World) -> None:
    path = world.add_private("counted-lib", size=50_000)
    (file,) = gate.files("counted-lib")
    gate.get(file["url"])
    found = metrics(gate)
    assert found["crane_requests_total", "page", "fetched", "python"] == 1
    assert found["crane_requests_total", "file", "fetched", "python"] == 1
    assert found["crane_sent_bytes_total", "file", "python"] == path.stat().st_size
    assert found["crane_login_valid", "python"] == 1


def test_a_logout_shows(gate: Gate, home: Home, world: World) -> None:
    home.store().delete(session_key(index_of(world)))
    assert metrics(gate)["crane_login_valid", "python"] == 0
    assert "run: crane login python" in gate.get("/-/").text


@pytest.mark.parametrize("path", ["/-/", "/-/metrics"])
def test_they_are_for_who_knows_the_secret(home: Home, world: World, path: str) -> None:
    index = index_of(world)
    home.login(index)
    with home.serve(index, guard=lambda port: Guard(None, Secret("s3cret"))) as gate:
        assert gate.get(path).status_code == 403
        assert gate.http.get(gate.url + path, auth=("crane", "s3cret")).status_code == 200
        assert gate.get("/-/health").status_code == 200


@pytest.mark.parametrize("path", ["/-/", "/-/metrics", "/-/health"])
def test_no_web_page_may_read_them(gate: Gate, path: str) -> None:
    assert gate.get(path, origin="https://evil.example").status_code == 403
    assert gate.get(path, sec_fetch_site="cross-site").status_code == 403
    assert gate.get(path, sec_fetch_site="none").status_code == 200
    assert "access-control-allow-origin" not in gate.get(path).headers


def test_nothing_on_the_page_is_loaded_from_elsewhere(gate: Gate) -> None:
    page = gate.get("/-/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert "src=" not in page.text


def test_other_own_paths_say_where_to_look(gate: Gate) -> None:
    answer = gate.get("/-/nothing")
    assert answer.status_code == 404
    assert "/-/metrics" in answer.reason_phrase
