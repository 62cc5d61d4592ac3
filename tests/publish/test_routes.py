"""Uploads by the forward route: where the token goes, and what tools see while they send."""

from __future__ import annotations

import asyncio
import base64
import http.client as http_client
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from forward.net import Net
from forward.rig import Rig, Site, forward
from gateway.harness import Home
from gateway.upstream import Scripted, whole
from publish.kit import encoded, fields_of

from crane_core.gateway.uploads import publishing
from crane_core.gateway.views import Opened
from crane_devserver.wheels import make_wheel

UPLOADS = "uploads.test"


@pytest.fixture
def net(net: Net, monkeypatch: pytest.MonkeyPatch) -> Net:
    """Let the gateway of this process reach the internet, too."""
    monkeypatch.setenv("HTTPS_PROXY", net.url("ada:lovelace@"))
    monkeypatch.setenv("SSL_CERT_FILE", net.ca_file)
    return net


def client(rig: Rig, opened: Opened, seconds: float = 20.0) -> httpx2.Client:
    return httpx2.Client(
        proxy=rig.proxy(opened),
        verify=ssl.create_default_context(cafile=rig.bundle(opened)),
        trust_env=False,
        timeout=seconds,
    )


def post(http: httpx2.Client, url: str, path: Path) -> httpx2.Response:
    kind, body = encoded(path, fields_of(path))
    return http.post(url, content=body, headers={"content-type": kind, "authorization": "Basic x"})


async def taken(scope: dict[str, Any], receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await whole(200, b'{"status": "success"}', "application/json")(scope, receive, send)


@pytest.fixture
def app() -> Scripted:
    return Scripted({"/legacy/": taken})


@pytest.fixture
def rig(site: Site, home: Home, net: Net, app: Scripted, tmp_path: Path) -> Iterator[Rig]:
    """Give a view of an index whose uploads go to another host."""
    with net.host(app, UPLOADS) as url:
        index = site.index(upload_url=f"{url}/legacy/", publish="warehouse")
        home.login(index)
        with forward(home, net, tmp_path, index) as rig:
            yield rig


def test_the_token_goes_to_the_upload_url_and_nowhere_beside(
    rig: Rig, site: Site, app: Scripted, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "firm-new", "1.0")
    opened = rig.open(proxies={"https": rig.net.url("ada:lovelace@")})
    assert f"https://{UPLOADS}" in opened.origins
    with client(rig, opened) as http:
        done = post(http, f"https://{UPLOADS}/legacy/", wheel)
        assert done.status_code == 200, done.reason_phrase
        # To the index's own URL as well: its user has said where uploads go.
        assert post(http, f"{site.index_url}/", wheel).status_code == 200
        assert http.get(f"https://{UPLOADS}/other/").status_code == 404
        assert post(http, f"https://{UPLOADS}/other/", wheel).status_code == 404
    assert [(r[0], r[1]) for r in app.requests] == [
        ("POST", "/legacy/"), ("POST", "/legacy/"), ("GET", "/other/"), ("POST", "/other/"),
    ]  # fmt: skip
    logins = [headers.get("authorization", "") for _, _, headers in app.requests]
    assert [login[:7] for login in logins] == ["Bearer ", "Bearer ", "", "Basic x"]


def test_a_tool_that_waits_is_told_that_its_answer_will_come(
    rig: Rig, app: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else tools with a short read time-out give up on an index that takes its time."""
    monkeypatch.setattr(publishing, "PATIENCE", 0.1)

    async def slow(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await asyncio.sleep(1.5)  # what makes it slow
        await taken(scope, receive, send)

    app.routes["/legacy/"] = slow
    wheel = make_wheel(tmp_path, "firm-new", "1.0")
    opened = rig.open(proxies={"https": rig.net.url("ada:lovelace@")})
    with client(rig, opened, seconds=0.8) as http:  # as PDM, Hatch and uv
        assert post(http, f"https://{UPLOADS}/legacy/", wheel).status_code == 200

    kind, body = encoded(wheel, fields_of(wheel))
    plain = http_client.HTTPSConnection(
        "127.0.0.1", rig.port, timeout=0.8, context=rig.context(opened)
    )
    login = base64.b64encode(f"crane:{opened.secret.reveal()}".encode()).decode()
    plain.set_tunnel(UPLOADS, 443, {"Proxy-Authorization": f"Basic {login}"})
    plain.request("POST", "/legacy/", body, {"Content-Type": kind})  # as twine, Poetry and flit
    assert plain.getresponse().status == 200
    plain.close()


@pytest.mark.parametrize("kind", ["warehouse", "crane"])
def test_a_progress_bar_is_true(
    site: Site, home: Home, net: Net, tmp_path: Path, kind: str
) -> None:
    """While the index takes nothing, the tool gets no further than what waits on the way."""
    wheel = make_wheel(tmp_path, "firm-new", "1.0", size=64 << 20)
    content_type, body = encoded(wheel, fields_of(wheel))
    sent, seen = [0], [0]

    async def slow(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            await asyncio.sleep(1)  # what makes it slow
            seen[0] = sent[0]
            await taken(scope, receive, send)
        else:
            await whole(200, wheel.read_bytes(), "application/zip")(scope, receive, send)

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), 1 << 16):
            yield body[start : start + (1 << 16)]
            sent[0] = start

    app = Scripted({"/legacy/": slow, f"/legacy/{wheel.name}": slow})
    headers = {"content-type": content_type, "content-length": str(len(body))}
    with net.host(app, UPLOADS) as url:
        index = site.index(upload_url=f"{url}/legacy/", publish=kind, upload_layout="{file}")
        home.login(index)
        with forward(home, net, tmp_path, index) as rig:
            opened = rig.open(proxies={"https": rig.net.url("ada:lovelace@")})
            with client(rig, opened) as http:
                done = http.post(f"{url}/legacy/", content=pieces(), headers=headers)
    assert done.status_code == 200, done.reason_phrase
    # What waits is 16 MiB of ours, and what the sockets of five processes take.
    assert 1 << 20 < seen[0] < 48 << 20
