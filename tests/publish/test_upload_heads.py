"""What stands around a file: URLs, settings and forms that two readers could read differently."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from forward import raw
from forward.rig import Site, forward
from gateway.harness import USUAL, Home, index_of
from publish.kit import Desk, desk_at, encoded, fields_of, guard
from support.world import World

from crane_core.gateway.compose import Settings
from crane_devserver.wheels import make_wheel


def post(desk: Desk, kind: str, body: bytes, to: str = "/python/legacy/") -> httpx2.Response:
    return desk.gate.http.post(desk.gate.url + to, content=body, headers={"content-type": kind})


def part(boundary: str, disposition: str, value: bytes) -> bytes:
    return f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + (
        value + b"\r\n"
    )


def test_a_query_is_no_way_around_the_checks(desk: Desk, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "firm-new", "1.0")

    done = desk.upload(wheel, "/python/legacy/?:action=file_upload")

    assert done.status_code == 400
    assert "has no query" in done.reason_phrase
    assert desk.posts() == []


@pytest.mark.parametrize(
    "disposition",
    ['name="content"', 'name="content"; filename="firm_new-1.0-py3-none-any.whl"',
     'name="name"; filename="x"', 'name="sha256_digest"; filename="x"'],
)  # fmt: skip
def test_a_part_that_another_parser_may_take_for_the_first(
    desk: Desk, tmp_path: Path, disposition: str
) -> None:
    wheel = make_wheel(tmp_path, "firm-new", "1.0")
    kind, body = encoded(wheel, fields_of(wheel))
    boundary = kind.rpartition("=")[2]

    done = post(desk, kind, part(boundary, disposition, b"other") + body)

    assert done.status_code == 400
    assert desk.posts() == []


def test_a_version_of_thousands_of_digits(desk: Desk, tmp_path: Path) -> None:
    done = desk.upload(make_wheel(tmp_path, "firm-new", "1.0"), version="9" * 5000)

    assert done.status_code == 400
    assert done.reason_phrase.startswith("crane: firm_new-1.0-py3-none-any.whl is not of version")


def test_offline_nothing_is_sent(world: World, home: Home, tmp_path: Path) -> None:
    index = index_of(world)
    home.login(index)
    settings = Settings(cache=USUAL.cache, prefetch=USUAL.prefetch, offline=True)
    with home.serve(index, guard=guard, settings=settings) as gate:
        done = Desk(world, home, index, gate).upload(make_wheel(tmp_path, "firm-new", "1.0"))

    assert done.status_code == 504
    assert "offline" in done.reason_phrase
    assert list(world.crane.requests) == []


def test_what_a_killed_process_left_is_tidied_away(desk: Desk, tmp_path: Path) -> None:
    spools = desk.home.paths.cache / "spool"
    spools.mkdir(parents=True, exist_ok=True)
    left = spools / "left.part"
    left.write_bytes(b"x" * 1000)

    assert desk.upload(make_wheel(tmp_path, "firm-new", "1.0")).status_code == 200

    assert not left.exists()


def test_the_list_of_projects_is_no_place_for_uploads(
    world: World, home: Home, tmp_path: Path
) -> None:
    """A tool may have been given the URL by which it installs."""
    with desk_at(world, home, url=f"{world.index_url}/simple", publish="warehouse") as desk:
        desk.upload(make_wheel(tmp_path, "firm-new", "1.0"))

    assert desk.posts() == ["/python/"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/"), ("POST", "/?x=1"), ("POST", "/firm-new/f.whl"), ("PUT", "/a")],
)
def test_where_publishing_is_off_nothing_that_changes_an_index_gets_the_token(
    net, site: Site, tmp_path: Path, method: str, path: str, realm, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.harness import new_home

    monkeypatch.setenv("HTTPS_PROXY", net.url("ada:lovelace@"))
    monkeypatch.setenv("SSL_CERT_FILE", net.ca_file)
    home = new_home(tmp_path / "home", realm)
    index = site.index(publish="off")
    home.login(index)
    kind, body = encoded(w := make_wheel(tmp_path, "firm-new", "1.0"), fields_of(w))
    with forward(home, net, tmp_path, index) as rig:
        view = rig.open()
        with raw.secure(rig, view, "index.firm.test:443") as tls:
            head = (
                f"{method} /python{path} HTTP/1.1\r\nhost: index.firm.test\r\nconnection: close\r\n"
                f"content-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
            )
            tls.sendall(head.encode() + body)
            answer = raw.Raw(raw.read_all(tls))
        page = raw.get(rig, view, f"{site.index_url}/")

    assert answer.status == 403
    assert b"publishing to python is switched off" in answer.body
    assert page.status == 200
    assert [r.method for r in site.crane.requests if r.method not in {"GET", "HEAD"}] == []
