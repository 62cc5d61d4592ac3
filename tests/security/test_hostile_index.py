"""What an index, or somebody who can write there, puts on its pages and into its wheels."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest
from gateway.upstream import Scripted, whole
from idp.oidc import Realm
from support.pips import Environments, Pip, index_of, log_in, register
from support.serving import Served, serving
from support.tooling import UV
from support.world import User, World, make_world

from crane_core.config.store import ConfigStore
from crane_core.index.page import parse_json
from crane_core.responses import read_limited
from crane_devserver.behaviour import STATIC_INDEX
from crane_devserver.running import serve_in_thread
from crane_devserver.wheels import make_wheel

JSON = "application/vnd.pypi.simple.v1+json"
TITLE = b"<!DOCTYPE html><title>Links for x</title>"
LINK = TITLE + b"<a href='x-1.zip'"
MIB = 1 << 20
SECONDS = 12.0  # a tool waits for 15
ATTRIBUTES = b"".join(b"a%d " % number for number in range(600_000))
# All packed well: what travels is a few kilobytes.
BOMBS = {
    "a hundred megabytes in an attribute": LINK + b" title='" + b"x" * (100 * MIB),
    "fifty megabytes in an attribute": LINK + b" title='" + b"x" * (50 * MIB),
    "entities in an attribute": LINK + b" title='" + b"&lt;" * (4 * MIB) + b"'>",
    "a hash of many parts": TITLE + b"<a href='x-1.zip#" + b"&" * (30 * MIB) + b"'>x</a>",
    "a path of many parts": TITLE + b"<a href='" + b"../" * (4 * MIB) + b"x-1.zip'>x</a>",
    "more attributes than fit": TITLE + b"<a href=x-1.zip " + ATTRIBUTES + b">",
    "elements in elements": TITLE + b"<div>" * MIB,
    "elements that close nothing": TITLE + b"<div>" * 99 + b"</section>" * (2 * MIB),
    "comments in comments": TITLE + b"<!--" * (4 * MIB),
    "more links than there are files": TITLE + b"<a href=x-1.zip>" * (2 * MIB),
    "declared entities": b'<!DOCTYPE html [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a;" * 1000) for n in range(2000))
    + b"]>" + b"&a999;" * MIB,
    "lists in lists": b'{"meta": {"api-version": "1.0"}, "name": "x", "files": ' + b"[" * MIB,
    "a number of many digits": b'{"meta": {"api-version": "1.0"}, "files": ' + b"9" * MIB + b"}",
    "objects nobody asked for": b'{"meta": {"api-version": "1.0"}, "files": [], "x": ['
    + b"{}," * (8 * MIB) + b"{}]}",
    "values nobody asked for": b'{"meta": {"api-version": "1.0"}, "files": [], "x": ['
    + b'"ab",' * (5 * MIB) + b"0]}",
    "more files than there are": b'{"meta": {"api-version": "1.0"}, "name": "x", "files": ['
    + b'{"filename": "x-1.zip", "url": "x"},' * 250_000 + b'{"filename": "y", "url": "x"}]}',
}  # fmt: skip
# Where two limits would do, which of them did.
REASONS = {
    "a hundred megabytes in an attribute": "is longer than 64 MiB",
    "fifty megabytes in an attribute": "tags or texts are too long",
    "elements in elements": "nested too deeply",
    "elements that close nothing": "nested too deeply",
    "more links than there are files": "more than 250000 links",
    "objects nobody asked for": "lists and objects",
    "values nobody asked for": "values",
    "more files than there are": "more than 250000 files",
}


@pytest.fixture
def index(realm: Realm, user: User, world: World) -> Iterator[Scripted]:
    """Give an index of functions, which the user has registered and is logged in at."""
    scripted = Scripted({"/python/": whole(200, b"<title>Simple index</title>")})
    with serve_in_thread(scripted) as url:
        described = index_of(world, url=f"{url}/python")
        register(user, described)
        log_in(user, realm, described)
        yield scripted


def get(served: Served, path: str) -> httpx2.Response:
    url = served.url + path
    return httpx2.get(url, trust_env=False, timeout=60, headers={"accept": JSON})


def test_pages_that_would_keep_everybody_waiting(index: Scripted, user: User, world: World) -> None:
    """Each is an error within the time that a tool waits; memory stays; nobody else is asked."""
    for number, body in enumerate(BOMBS.values()):
        kind = JSON if body.startswith(b"{") else "text/html"
        packed = gzip.compress(body, 1)
        index.routes[f"/python/bomb-{number}/"] = whole(200, packed, kind, content_encoding="gzip")
        world.add_public(f"bomb-{number}", "9.0")
    with serving(user) as served:
        get(served, "/python/simple/nothing/")
        process = psutil.Process(served.process.pid)
        before = process.memory_info().rss
        for number, name in enumerate(BOMBS):
            began = time.monotonic()
            answer = get(served, f"/python/simple/bomb-{number}/")
            assert answer.status_code in {502, 504}, (name, answer.status_code)
            assert answer.reason_phrase.startswith("crane: "), name
            assert REASONS.get(name, "") in answer.reason_phrase, (name, answer.reason_phrase)
            assert time.monotonic() - began < SECONDS, name
            assert get(served, "/-/health").status_code == 200
        assert peak(process) - before < 640 * MIB
    assert not [r for r in world.public_server.requests if "bomb" in r.path]


def peak(process: psutil.Process) -> int:
    """Return the most memory that a process has had at a time, in bytes (proc(5))."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) << 10


def large_page(size: int) -> bytes:
    """Return a page as indexes have them, but of that size: it packs badly, and all is in use."""
    files = []
    while len(files) * 480 < size:
        digest = hashlib.sha256(str(len(files)).encode()).hexdigest()
        name = f"big-1.{len(files)}-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
        url = f"https://files.example/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{name}"
        files.append({
            "filename": name, "url": url, "hashes": {"sha256": digest}, "requires-python": ">=3.9",
            "size": len(files), "core-metadata": {"sha256": digest}, "yanked": False,
        })  # fmt: skip
    document = {"meta": {"api-version": "1.1"}, "name": "big", "versions": [], "files": files}
    return json.dumps(document).encode()


def test_a_large_page_takes_some_ten_times_its_size(index: Scripted, user: User) -> None:
    """The control for the limits, and the bound that docs/security/threat-model.md names."""
    document = large_page(8 * MIB)
    page = parse_json(document, "https://files.example/simple/big/").to_html()
    index.routes |= {"/python/json/": whole(200, document, JSON), "/python/html/": whole(200, page)}
    with serving(user) as served:
        get(served, "/python/simple/nothing/")
        process = psutil.Process(served.process.pid)
        before = process.memory_info().rss
        for name in ("json", "html"):
            answer = get(served, f"/python/simple/{name}/")
            assert (answer.status_code, len(answer.content) > 7 * MIB) == (200, True)
            print("@@", (peak(process) - before) / len(page))
            assert peak(process) - before < 18 * len(page), name


def test_a_piece_of_an_answer_that_unpacks_to_much_more() -> None:
    """It is unpacked to the limit: what comes at a time may be large, and a thousand times that."""
    packed = gzip.compress(bytes(100 * MIB), 1)
    answer = httpx2.Response(
        200, headers={"content-encoding": "gzip"}, stream=httpx2.ByteStream(packed)
    )
    tracemalloc.start()
    try:
        assert asyncio.run(read_limited(answer, MIB)) is None
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


def hostile_links(folder: Path) -> list[str]:
    """Return links to higher versions, each by a way that leads where no tool should go."""
    evil = make_wheel(folder, "firm-lib", "9.2")
    return [
        "javascript:alert(1)//firm_lib-9.1-py3-none-any.whl", evil.as_uri(),
        "data:application/zip;base64,UEsFBgAA/firm_lib-9.3-py3-none-any.whl",
        "f%D1%96rm_lib-9.9-py3-none-any.whl", "firm_lib-9.10%00-py3-none-any.whl",
        "firm_lib-9.11-py3-none-any.whl%0d%0aset-cookie:%20a=b", "\\\\host\\firm_lib-9.12.tar.gz",
        "ftp://127.0.0.1/firm_lib-9.13-py3-none-any.whl", "//[bad/firm_lib-9.14-py3-none-any.whl",
    ]  # fmt: skip


def test_links_that_lead_elsewhere(
    index: Scripted, user: User, tmp_path: Path, environments: Environments
) -> None:
    """Real pip and real uv, by all routes, get what is there and nothing of the rest."""
    wheel = make_wheel(tmp_path, "firm-lib", "1.0")
    links = [*hostile_links(tmp_path / "evil"), wheel.name, wheel.name.upper()]
    page = TITLE + "".join(f'<a href="{link}">{link}</a>' for link in links).encode()
    outside = [f"../../../firm_lib-9.{n}-py3-none-any.whl" for n in range(3)]
    files = [{"filename": name, "url": wheel.name, "hashes": {}} for name in outside]
    document = {"meta": {"api-version": "1.0"}, "name": "firm-json", "files": files}
    index.routes |= {
        "/python/firm-lib/": whole(200, page),
        "/python/firm-json/": whole(200, json.dumps(document).encode(), JSON),
        f"/python/firm-lib/{wheel.name}": whole(200, wheel.read_bytes(), "application/zip"),
        f"/python/firm-lib/{wheel.name.upper()}": whole(200, wheel.read_bytes()),
    }
    python = str(environments.make(tmp_path / "env", Pip("3.11", "newest")) / "bin" / "python")
    got = user.home / "got"
    for command in (
        ("pip", "--python", python, "download", "-d", str(got), "--no-deps", "firm-lib"),
        ("pip", "--route", "index", "--python", python, "download", "-d", str(got), "firm-lib"),
    ):
        done = user.crane(*command)
        assert done.returncode == 0, done
        assert {p.name for p in got.iterdir()} == {wheel.name}, done
    url = ConfigStore(user.config_file).load().find("python").url
    into = user.home / "into"
    install = ("uv", "pip", "install", "--target", str(into), "--index", url, "--no-cache")
    done = user.crane(*install, "firm-lib", PATH=str(Path(UV).parent))
    assert done.returncode == 0, done
    assert {p.name for p in into.glob("*.dist-info")} == {"firm_lib-1.0.dist-info"}, done
    with serving(user) as served:
        names = [f["filename"] for f in get(served, "/python/simple/firm-lib/").json()["files"]]
        # It is another name, which no tool takes for this one.
        assert names == ["f\u0456rm_lib-9.9-py3-none-any.whl", wheel.name]
        assert get(served, "/python/simple/firm-json/").json()["files"] == []
        asked = len(index.requests)
        for odd in (
            "f%D1%96rm-lib",
            "%EF%AC%81rm-lib",
            "%EF%BD%86irm-lib",
            "firm-lib%00",
            "..%2fx",
        ):
            assert get(served, f"/python/simple/{odd}/").status_code in {400, 404}, odd
        assert len(index.requests) == asked
    assert not list(user.home.rglob("*lib-9.*"))


def test_wheels_that_are_bombs(realm: Realm, user: User, tmp_path: Path) -> None:
    """Of metadata that unpack to gigabytes, or a directory of them, nobody makes anything."""
    with make_world(tmp_path / "static", realm, behaviour=STATIC_INDEX) as world:
        info = "bomb_lib-1.0.dist-info"
        for number, member in enumerate((f"{info}/METADATA", "filler")):
            path = make_wheel(world.private / f"bomb-{number}", f"bomb-{number}", "1.0")
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                if number == 1:
                    for n in range(66_000):
                        archive.writestr(f"{member}-{n}", b"")
                else:
                    head = f"Metadata-Version: 2.1\nName: bomb-{number}\nVersion: 1.0\n"
                    with archive.open(member.replace("bomb_lib", f"bomb_{number}"), "w") as file:
                        file.write(head.encode())
                        for _ in range(100):
                            file.write(b"Requires-Dist: x\n" * 60_000)
        register(user, index_of(world))
        log_in(user, realm, index_of(world))
        with serving(user) as served:
            get(served, "/python/simple/nothing/")
            process = psutil.Process(served.process.pid)
            before = process.memory_info().rss
            for number in range(2):
                page = get(served, f"/python/simple/bomb-{number}/")
                (file,) = page.json()["files"]
                began = time.monotonic()
                answer = httpx2.get(f"{file['url']}.metadata", trust_env=False, timeout=60)
                assert answer.status_code == 404, answer.reason_phrase
                assert time.monotonic() - began < SECONDS
            assert process.memory_info().rss - before < 100 * MIB
