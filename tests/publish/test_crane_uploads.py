"""Uploads to a Crane server: checked, sent on, read back, and told as tools understand it."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from gateway.harness import Home
from poetry.kit import write_pages
from publish.kit import Desk, desk_at, encoded, fields_of
from run.kit import Machine, until
from support.world import World

from crane_core.gateway.guard import Guard, loopback_hosts
from crane_core.secret import Secret
from crane_devserver import Fault
from crane_devserver.sdists import make_sdist
from crane_devserver.wheels import make_wheel, wheel_metadata

MIB = 1 << 20


def test_a_wheel_and_its_sdist(desk: Desk, tmp_path: Path) -> None:
    """They are found at once, with hashes and metadata, although the page was known before."""
    desk.world.add_private("firm-lib", "0.9")
    assert desk.gate.names("firm-lib") == ["firm_lib-0.9-py3-none-any.whl"]
    wheel = make_wheel(tmp_path, "firm-lib", "1.0", requires=["other"])
    sdist = make_sdist(tmp_path, "firm-lib", "1.0")

    for path in (wheel, sdist):
        done = desk.upload(path)
        assert done.status_code == 200, done.reason_phrase
        assert "is published at python" in done.text

    beside = {f"firm-lib/{wheel.name}.metadata"}
    assert {f"firm-lib/{p.name}" for p in (wheel, sdist)} | beside <= desk.stored()
    assert not [event for event in desk.gate.events if event.problem]
    files = {file["filename"]: file for file in desk.gate.files("firm-lib")}
    for path in (wheel, sdist):
        assert files[path.name]["hashes"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    (served,) = [f["url"] for f in files.values() if f["filename"] == wheel.name]
    assert files[wheel.name]["core-metadata"]
    assert desk.gate.get(f"{served}.metadata").content == wheel_metadata(wheel)
    spools = desk.home.paths.cache / "spool"
    # A download into the cache may still be under way there.
    until(lambda: not list(spools.iterdir()))


def test_a_page_that_the_index_lets_us_keep_is_asked_for_anew(desk: Desk, tmp_path: Path) -> None:
    """Also one that would be given again in the very bytes that it was given before."""
    repositories = desk.world.crane.repositories
    repositories["python"] = replace(repositories["python"], cache_control="max-age=600")
    folder = desk.world.private / "firm-lib"
    page = folder / "index.html"
    desk.world.add_private("firm-lib", "1.0")
    write_pages(desk.world.private)
    assert len(desk.gate.names("firm-lib")) == 1

    wheel = make_wheel(tmp_path, "firm-lib", "1.1")
    page.write_text(page.read_text() + f'<a href="{wheel.name}">{wheel.name}</a>')
    assert len(desk.gate.names("firm-lib")) == 1, "it is not kept, so this shows nothing"
    assert desk.upload(wheel).status_code == 200
    assert len(desk.gate.names("firm-lib")) == 2


def test_a_large_wheel_is_sent_on_while_it_comes(desk: Desk, tmp_path: Path) -> None:
    """The file before the fields, too: their order is the tool's."""
    wheel = make_wheel(tmp_path, "big-lib", "1.0", size=40 * MIB)
    done = desk.upload(wheel, first=True)
    assert done.status_code == 200, done.reason_phrase
    stored = desk.world.private / "big-lib" / wheel.name
    assert stored.read_bytes() == wheel.read_bytes()
    post, _ = [r for r in desk.world.crane.requests if r.method == "POST"]
    assert post.header("transfer-encoding") == "chunked"


FALSE: list[tuple[dict[str, str | None], str]] = [
    ({"name": "other-lib"}, "is no file of other-lib"),
    ({"version": "1.1"}, "is not of version 1.1"),
    ({"filetype": "sdist"}, "is no sdist"),
    ({"sha256_digest": "0" * 64}, "another sha256"),
    ({"md5_digest": "0" * 32}, "another md5"),
    ({"blake2_256_digest": "0" * 64}, "another blake2_256"),
    ({":action": "submit"}, "the :action submit"),
    ({":action": None}, "the :action None"),
    ({"name": None}, "has no name"),
]
NAMES = [
    "../firm_lib-1.0-py3-none-any.whl", "firm_lib-1.0-py3-none-any.whl/x", "firm_lib.whl",
    "firm_lib-1.0.egg", "firm_lib-x-py3-none-any.whl", "-1.0.tar.gz", "firm\u00e9-1.0.tar.gz",
    f"firm_lib-1.0{'0' * 300}-py3-none-any.whl", "firm_lib-1.0-a-py3-none-any.whl",
]  # fmt: skip


def test_what_the_form_says_must_be_so(desk: Desk, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "firm-lib", "1.0")
    for changed, why in FALSE:
        done = desk.upload(wheel, **changed)
        assert done.status_code == 400
        assert done.reason_phrase.startswith("crane: ")
        assert why in done.reason_phrase
        assert done.text.strip() == done.reason_phrase
    for name in NAMES:
        done = desk.upload(wheel, filename=name)
        assert done.status_code == 400
        assert "is no name of a wheel or sdist" in done.reason_phrase
    assert desk.posts() == []


@pytest.mark.parametrize("large", [False, True])
def test_a_file_is_what_it_is_called(desk: Desk, tmp_path: Path, large: bool) -> None:
    """Of a large one some has been sent by then, but not its end."""
    size = 20 * MIB if large else 0
    other = make_wheel(tmp_path, "other-lib", "1.0", size=size)
    path = shutil.move(other, tmp_path / "firm_lib-1.0-py3-none-any.whl")
    done = desk.upload(Path(path))
    assert done.status_code == 400
    assert "firm_lib-1.0-py3-none-any.whl is not what it is called" in done.reason_phrase
    stored = desk.world.private / "firm-lib" / "firm_lib-1.0-py3-none-any.whl"
    if not large:
        assert desk.posts() == []
        assert not stored.exists()
    else:
        # This index keeps what has come of it, and that blocks the next one: so it is said.
        assert "bytes are left at" in done.reason_phrase
        assert stored.stat().st_size < Path(path).stat().st_size


def test_an_sdist_of_another_name(desk: Desk, tmp_path: Path) -> None:
    path = shutil.move(make_sdist(tmp_path, "other-lib", "1.0"), tmp_path / "firm_lib-1.0.tar.gz")
    done = desk.upload(Path(path))
    assert done.status_code == 400
    assert "PKG-INFO is of another name or version" in done.reason_phrase
    Path(path).write_bytes(Path(path).read_bytes()[:-20])
    assert "no archive that can be read" in desk.upload(Path(path)).reason_phrase
    assert desk.posts() == []


def test_the_same_file_again_and_another_one(desk: Desk, tmp_path: Path) -> None:
    """As at PyPI: the same is no error; `already exists` is what tools look for in the other."""
    wheel = make_wheel(tmp_path, "firm-lib", "1.0")
    assert desk.upload(wheel).status_code == 200
    again = desk.upload(wheel)
    assert again.status_code == 200
    assert "already, and is the same" in again.text

    other = make_wheel(tmp_path / "other", "firm-lib", "1.0", requires=["x"])
    done = desk.upload(other)
    assert done.status_code == 400
    assert "already exists" in done.reason_phrase
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() in done.reason_phrase
    assert (desk.world.private / "firm-lib" / wheel.name).read_bytes() == wheel.read_bytes()


def test_what_a_broken_upload_has_left(desk: Desk, tmp_path: Path) -> None:
    """It blocks every later try, and only the index's administrators can remove it."""
    wheel = make_wheel(tmp_path, "firm-lib", "1.0", size=10_000)
    stored = desk.world.private / "firm-lib" / wheel.name
    stored.parent.mkdir()
    stored.write_bytes(wheel.read_bytes()[:5000])
    done = desk.upload(wheel)
    assert done.status_code == 424
    assert f"5000 bytes are left at {desk.index.url}/firm-lib/{wheel.name}" in done.reason_phrase
    assert "administrators" in done.reason_phrase


def test_it_is_not_published_before_it_has_been_read_back(desk: Desk, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "firm-lib", "1.0")
    fault = Fault("/python/firm-lib/firm", status=404, methods=frozenset({"GET"}))
    with desk.world.crane.faults.during(fault):
        done = desk.upload(wheel)
    assert done.status_code == 424
    assert "cannot be read back (HTTP 404)" in done.reason_phrase

    fault = Fault("/python/firm-lib/firm", status=200, body=b"x", methods=frozenset({"GET"}))
    with desk.world.crane.faults.during(fault):
        done = desk.upload(make_wheel(tmp_path, "firm-lib", "1.1"))
    assert done.status_code == 424
    assert "has other bytes there" in done.reason_phrase


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (403, b'{"status":"forbidden","code":403}', "does not let you write firm-lib"),
        (413, b"<title>413 Request Entity Too Large</title>", "takes no file as large"),
        (404, b"", "takes no uploads at"),
        (500, b'{"message":"disk on fire"}', "HTTP 500: disk on fire"),
        (400, b'{"status":"fail","data":{"message":"File upload failed"}}', "File upload failed"),
    ],
)
@pytest.mark.parametrize("size", [0, 20 * MIB])
def test_the_indexs_answers(
    desk: Desk, tmp_path: Path, status: int, body: bytes, why: str, size: int
) -> None:
    """Also where it answers before it has all, and the tool still sends."""
    fault = Fault("/python/", status=status, body=body, methods=frozenset({"POST"}))
    with desk.world.crane.faults.during(fault):
        done = desk.upload(make_wheel(tmp_path, "firm-lib", "1.0", size=size))
    assert done.status_code == status
    assert why in done.reason_phrase
    assert any(why in event.problem for event in desk.gate.events)


@pytest.mark.parametrize("size", [0, 20 * MIB])
def test_a_refused_token_is_refreshed_once(desk: Desk, tmp_path: Path, size: int) -> None:
    fault = Fault("/python/", status=401, times=1, methods=frozenset({"POST"}))
    desk.world.crane.faults.append(fault)
    wheel = make_wheel(tmp_path, "firm-lib", "1.0", size=size)
    assert desk.upload(wheel).status_code == 200
    posts = [r for r in desk.world.crane.requests if r.method == "POST"]
    logins = [r.header("authorization") for r in posts if r.path.endswith(".whl")]
    assert len(logins) == len(set(logins)) == 2

    desk.world.crane.faults.append(Fault("/python/", status=401, methods=frozenset({"POST"})))
    done = desk.upload(make_wheel(tmp_path, "firm-lib", "1.1"))
    assert (done.status_code, "refused a fresh login" in done.reason_phrase) == (403, True)


def test_folders_as_they_are_spelled_there(desk: Desk, tmp_path: Path) -> None:
    """A second folder would hide what is in the first one."""
    make_wheel(desk.world.private / "Firm_Lib", "firm-lib", "0.9")
    assert desk.upload(make_wheel(tmp_path, "firm-lib", "1.0")).status_code == 200
    assert "Firm_Lib/firm_lib-1.0-py3-none-any.whl" in desk.stored()
    assert len(desk.gate.names("firm-lib")) == 2


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"upload_layout": "{project}/{file}"}, "firm-lib/"),
        ({"upload_layout": "{file}"}, ""),
        ({"upload_layout": "simple/{project}/{file}"}, "simple/firm-lib/"),
        ({"simple": True}, "simple/firm-lib/"),
        ({"simple": True, "upload_layout": "{project}/{file}"}, "firm-lib/"),
    ],
)
def test_layouts(
    world: World, home: Home, tmp_path: Path, settings: dict[str, str], place: str
) -> None:
    """Without one, files lie where the pages are."""
    if settings.pop("simple", None):
        make_wheel(world.private / "simple" / "other-lib", "other-lib", "1.0")
    with desk_at(world, home, **settings) as desk:
        assert desk.upload(make_wheel(tmp_path, "firm-lib", "1.0")).status_code == 200
        assert f"{place}firm_lib-1.0-py3-none-any.whl" in desk.stored()


def test_switched_off(world: World, home: Home, tmp_path: Path) -> None:
    with desk_at(world, home, publish="off") as desk:
        done = desk.upload(make_wheel(tmp_path, "firm-lib", "1.0"))
        assert done.status_code == 403
        assert "switched off" in done.reason_phrase
        assert len(world.crane.requests) == 0


def test_who_may_not_upload(desk: Desk, tmp_path: Path) -> None:
    """No page of any kind, by no name that resolves here, and nobody who cannot be known."""
    wheel = make_wheel(tmp_path, "firm-lib", "1.0")
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"host": "evil.example"},
        {"user-agent": "Mozilla/5.0 (X11; rv:38.0)"},
    ):
        done = desk.upload(wheel, headers=headers)
        assert done.status_code in {403, 421}, headers
    with desk.home.serve(desk.index) as gate:
        stranger = Desk(desk.world, desk.home, desk.index, gate)
        done = stranger.upload(wheel)
        assert (done.status_code, "--token" in done.reason_phrase) == (403, True)
    with desk.home.serve(
        desk.index, guard=lambda port: Guard(loopback_hosts("127.0.0.1", port), Secret("s3cret"))
    ) as gate:
        knows = Desk(desk.world, desk.home, desk.index, gate)
        assert knows.upload(wheel).status_code == 403
        assert desk.posts() == []
        login = {"authorization": f"Basic {base64.b64encode(b'any:s3cret').decode()}"}
        assert knows.upload(wheel, headers=login).status_code == 200
    desk.world.crane.requests.clear()
    assert desk.upload(wheel, to="/python/simple/").status_code == 405
    assert desk.upload(wheel, to="/nobody/legacy/").status_code == 404
    assert desk.posts() == []


def test_single_index_has_a_short_place(desk: Desk, tmp_path: Path) -> None:
    assert desk.upload(make_wheel(tmp_path, "firm-lib", "1.0"), to="/legacy").status_code == 200


def test_the_token_and_the_tools_login_are_nobody_elses(desk: Desk, tmp_path: Path) -> None:
    """What the tool was given as a login goes nowhere."""
    wheel = make_wheel(tmp_path, "firm-lib", "1.0")
    headers = {"authorization": "Basic dXNlcjpwYXNz", "cookie": "a=b"}
    assert desk.upload(wheel, headers=headers).status_code == 200
    for record in desk.world.crane.requests:
        login = record.header("authorization")
        assert login is None or re.match(r"Bearer \S{20}", login)
        assert record.header("cookie") is None


def test_a_tool_that_leaves_half_way(desk: Desk, tmp_path: Path) -> None:
    """Nothing of it counts, and it leaves nothing here."""
    wheel = make_wheel(tmp_path, "big-lib", "1.0", size=40 * MIB)
    kind, body = encoded(wheel, fields_of(wheel))

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body) // 2, MIB):
            yield body[start : start + MIB]
        raise InterruptedError

    headers = {"content-type": kind, "content-length": str(len(body))}
    with pytest.raises(InterruptedError):
        desk.gate.http.post(f"{desk.gate.url}/python/legacy/", content=pieces(), headers=headers)
    until(lambda: any("the tool left" in event.problem for event in desk.gate.events))
    stored = desk.world.private / "big-lib" / wheel.name
    assert stored.stat().st_size < wheel.stat().st_size
    until(lambda: not list((desk.home.paths.cache / "spool").iterdir()))


def test_a_gigabyte_in_flat_memory(ada: Machine, tmp_path: Path) -> None:
    """Of the process that takes it, and of no other: in megabytes, whatever the file's size."""
    wheel = make_wheel(tmp_path, "big-lib", "1.0")
    block = os.urandom(MIB)
    with zipfile.ZipFile(wheel, "a") as archive, archive.open("padding", "w") as padding:
        for _ in range(1024):
            padding.write(block)
    size = wheel.stat().st_size
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    # The other digests and the fields are tested with small ones.
    kind, form = encoded(make_wheel(tmp_path / "small", "big-lib", "1.0"), {
        ":action": "file_upload", "name": "big-lib", "version": "1.0", "sha256_digest": digest,
    })  # fmt: skip
    small = (tmp_path / "small" / wheel.name).read_bytes()
    before, after = form.split(small)

    def pieces() -> Iterator[bytes]:
        yield before
        with wheel.open("rb") as file:
            while data := file.read(MIB):
                yield data
        yield after

    headers = {"content-type": kind, "content-length": str(len(before) + size + len(after))}
    with ada.start("serve", "--port", "0") as process:
        assert process.stdout
        lines = iter(process.stdout)
        address = next(line for line in lines if "Serving" in line).rpartition(" ")[2].strip()
        peak = peak_of(process.pid)
        with httpx2.Client(trust_env=False, timeout=60) as http:
            done = http.post(f"{address}/python/legacy/", content=pieces(), headers=headers)
        assert done.status_code == 200, done.reason_phrase
        assert peak_of(process.pid) - peak < 60 * MIB
    stored = ada.site.private / "big-lib" / wheel.name
    assert stored.stat().st_size == size
    for path in (wheel, stored):
        path.unlink()  # pytest keeps what tests leave


def peak_of(pid: int) -> int:
    """Return the most memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) << 10
