"""The servers that crane is compared with, each before the same index, with a static login."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks.environments import environment
from benchmarks.gateway import crane
from benchmarks.nginx import nginx
from benchmarks.servers import Server, free_port, running
from benchmarks.upstream import TOKEN, Upstream

PROXPI = ("proxpi==1.3.1", "gunicorn==27.0.1")
DEVPI = ("devpi-server==6.20.3", "setuptools<81")  # pyramid asks for pkg_resources
SIMPLE_REPOSITORY = ("simple-repository-server==0.10.0",)
THREADS = ("urllib3==2.8.0",)
Peer = Callable[[Upstream, str], AbstractContextManager[Server]]

PROXY = """\
    upstream index {{
        server 127.0.0.1:{to};
        keepalive 64;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://index;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header Authorization "Bearer {token}";
        }}
    }}
"""


@contextmanager
def nginx_proxy(upstream: Upstream, variant: str) -> Iterator[Server]:
    """Run the limit: nginx that adds a static header, with connections kept."""
    port = free_port()
    http = PROXY.format(to=upstream.ports[variant], port=port, token=TOKEN)
    with nginx("nginx", http, f"http://127.0.0.1:{port}/repo/simple/") as server:
        yield server


@contextmanager
def through_crane(upstream: Upstream, variant: str) -> Iterator[Server]:
    """Run crane itself."""
    with crane(upstream.url(variant, login=False)) as server:
        yield server


@contextmanager
def proxpi(upstream: Upstream, variant: str) -> Iterator[Server]:
    """Run proxpi under gunicorn, as its container does; the cache off where it must ask."""
    programs, port = environment("proxpi", *PROXPI), free_port()
    command: list[str | Path] = [
        programs / "gunicorn", "--preload", "--access-logfile", "-",
        "--access-logformat", '%(h)s "%(r)s" %(s)s %(b)s %(M)dms',
        "--logger-class", "proxpi.server._GunicornLogger", "--threads", "2",
        "--no-control-socket", "--bind", f"127.0.0.1:{port}", "proxpi.server:app",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        variables = {
            "PROXPI_INDEX_URL": upstream.url(variant) + "/simple/",
            "PROXPI_CACHE_DIR": folder,
            # For a slow index it redirects to it, where the tool has no login.
            "PROXPI_DOWNLOAD_TIMEOUT": "600",
            **({"PROXPI_INDEX_TTL": "0"} if variant == "ask" else {}),
        }
        url = f"http://127.0.0.1:{port}/index/"
        with running("proxpi", command, url, environ=variables) as server:
            yield server


@contextmanager
def simple_repository(upstream: Upstream, variant: str) -> Iterator[Server]:
    """Run CERN's server, streaming, since a redirect would lead to the index without a login."""
    programs = environment("simple-repository-server", *SIMPLE_REPOSITORY)
    port = free_port()
    command: list[str | Path] = [
        programs / "simple-repository-server", "--host", "127.0.0.1", "--port", str(port),
        "--stream-http-resources", upstream.url(variant) + "/simple/",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}/simple/"
    with running("simple-repository-server", command, url) as server:
        yield server


@contextmanager
def devpi(upstream: Upstream, variant: str) -> Iterator[Server]:
    """Run devpi-server with a mirror of the index; its cache expires at once where it must ask."""
    programs, port = environment("devpi-server", *DEVPI), free_port()
    base = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        where = ["--serverdir", folder]
        start: list[str | Path] = [programs / "devpi-init", *where, "--no-root-pypi"]
        subprocess.run(start, check=True, capture_output=True)
        command: list[str | Path] = [programs / "devpi-server", *where, "--port", str(port)]
        url = f"{base}/root/bench/+simple/"
        with running("devpi-server", command, url, ready=base) as server:
            _add_mirror(base, upstream.url(variant) + "/simple/", expires=variant == "ask")
            yield server


def _add_mirror(base: str, mirror_url: str, *, expires: bool) -> None:
    login = {"user": "root", "password": ""}
    token = _devpi(f"{base}/+login", "POST", login)["result"]["password"]
    settings = {
        "type": "mirror",
        "mirror_url": mirror_url,
        "mirror_cache_expiry": 0 if expires else 1800,
        # With an expired list of projects it takes none for existing.
        "mirror_no_project_list": True,
        "volatile": False,
    }
    _devpi(f"{base}/root/bench", "PUT", settings, f"root:{token}")


def _devpi(url: str, method: str, body: object, login: str = "") -> dict[str, dict[str, str]]:
    request = urllib.request.Request(url, json.dumps(body).encode(), method=method)
    request.add_header("content-type", "application/json")
    request.add_header("accept", "application/json")
    if login:
        request.add_header("x-devpi-auth", base64.b64encode(login.encode()).decode())
    with urllib.request.urlopen(request) as response:
        answer: dict[str, dict[str, str]] = json.load(response)
        return answer


@contextmanager
def threads(upstream: Upstream, variant: str, port: int | None = None) -> Iterator[Server]:
    """Run the thread server that works as crane-pip does; `port` is that of a relay."""
    programs, own = environment("thread-server", *THREADS), free_port()
    index_url = upstream.url(variant, login=False, port=port) + "/simple"
    with tempfile.TemporaryDirectory() as folder:
        tokens = Path(folder) / "tokens.json"
        tokens.write_text(json.dumps({"access_token": TOKEN}))
        script = Path(__file__).with_name("thread_server.py")
        command: list[str | Path] = [programs / "python", script, index_url, tokens, str(own)]
        url = f"http://127.0.0.1:{own}/"
        with running("crane-pip's way", command, url) as server:
            yield server


PYTHON_PEERS: dict[str, Peer] = {
    "proxpi": proxpi,
    "simple-repository-server": simple_repository,
    "devpi-server": devpi,
    "crane-pip's way": threads,
}
ALL: dict[str, Peer] = {"crane": through_crane, "nginx": nginx_proxy, **PYTHON_PEERS}
VERSIONS = (*PROXPI, *DEVPI[:1], *SIMPLE_REPOSITORY, *THREADS)
