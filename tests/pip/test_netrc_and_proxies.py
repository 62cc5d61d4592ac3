"""What the user has set up for pip goes on working, and does not stand before the gateway."""

from __future__ import annotations

import base64
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from support.pips import (
    EVERY_PIP,
    INDEX_ROUTE,
    OLDEST_AND_NEWEST,
    Pip,
    installed,
    make_built_sdist,
)
from support.world import User, World

DEAD = "http://127.0.0.1:9"
NETRC = "machine localhost login me password hunter2\n"


class Site(ThreadingHTTPServer):
    """Notes what it is asked for; answers for others as a proxy does."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.asked: list[str] = []
        self.logins: list[str | None] = []


class Page(BaseHTTPRequestHandler):
    """An empty page that wants no login but notes it."""

    server: Site

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.logins.append(self.headers.get("authorization"))
        body = b"<html></html>"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Forwarder(Page):
    """A forward proxy for plain http."""

    def do_GET(self) -> None:
        self.server.asked.append(urlsplit(self.path).netloc)
        size = int(self.headers.get("content-length") or 0)
        with httpx2.Client(trust_env=False, timeout=30) as http:
            answer = http.request(
                self.command,
                self.path,
                headers={k: v for k, v in self.headers.items() if k.lower() != "host"},
                content=self.rfile.read(size),
            )
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name not in {"content-length", "transfer-encoding", "content-encoding"}:
                self.send_header(name, value)
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def do_POST(self) -> None:
        self.do_GET()


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[Site]:
    with Site(handler) as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.02,))
        thread.start()
        yield site
        site.shutdown()
        thread.join()


def in_the_home_folder(user: User) -> None:
    (user.home / ".netrc").write_text(NETRC)


def under_its_other_name(user: User) -> None:
    (user.home / "_netrc").write_text(NETRC)


def named_by_a_variable(user: User) -> None:
    (user.home / "mine").write_text(NETRC)
    user.variables["NETRC"] = str(user.home / "mine")


def without_a_last_newline(user: User) -> None:
    (user.home / ".netrc").write_text(NETRC.rstrip())


def with_an_entry_for_this_machine(user: User) -> None:
    """That one is meant for a server of the user's own, and must not displace the gateway's."""
    text = NETRC + "machine 127.0.0.1 login me password other\n"
    (user.home / ".netrc").write_text(text)


def with_a_default(user: User) -> None:
    (user.home / ".netrc").write_text(NETRC + "default login me password other\n")


@pytest.mark.parametrize(
    "place",
    [
        in_the_home_folder,
        under_its_other_name,
        named_by_a_variable,
        without_a_last_newline,
        with_an_entry_for_this_machine,
        with_a_default,
    ],
)
def test_the_users_own_netrc_entries_still_work(
    place: Callable[[User], None], world: World, ready: User, active: Path
) -> None:
    world.add_private("secret-lib")
    place(ready)

    with serving(Page) as site:
        links = f"http://localhost:{site.server_port}/wheels/"
        done = ready.crane("pip", "install", "secret-lib", "--find-links", links)

    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(active) == {"secret_lib-1.0"}
    assert site.logins == ["Basic " + base64.b64encode(b"me:hunter2").decode()]


@pytest.mark.skipif(sys.platform != "linux", reason="the gateway shares its address elsewhere")
@pytest.mark.parametrize("own", ["", "machine 127.0.0.1 login me password hunter2\n"])
def test_another_server_on_this_machine_is_not_told_the_gateways_secret(
    own: str, world: World, ready: User, active: Path
) -> None:
    world.add_private("secret-lib")
    (ready.home / ".netrc").write_text(own)

    with serving(Page) as site:
        links = f"http://127.0.0.1:{site.server_port}/wheels/"
        done = ready.crane("pip", *INDEX_ROUTE, "install", "secret-lib", "--find-links", links)

    assert done.returncode == 0, done.stdout + done.stderr
    theirs = "Basic " + base64.b64encode(b"me:hunter2").decode()
    assert site.logins == [theirs if own else None]


def test_a_netrc_that_cannot_be_read_is_passed_over(
    world: World, ready: User, active: Path
) -> None:
    world.add_private("secret-lib")
    (ready.home / ".netrc").write_text("machine without an end\nnonsense here\n")

    done = ready.crane("pip", "install", "secret-lib")

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_proxy_in_the_environment_does_not_stand_before_the_gateway(
    world: World, ready: User, active: Path
) -> None:
    world.add_private("secret-lib", requires=["public-lib"])
    world.add_public("public-lib")

    with serving(Forwarder) as proxy:
        url = f"http://127.0.0.1:{proxy.server_port}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
        done = ready.crane("pip", "install", "secret-lib", **dict.fromkeys(names, url))

    assert done.returncode == 0, done.stdout + done.stderr
    assert set(proxy.asked) <= known_to(world)


def known_to(world: World) -> set[str]:
    """Return the servers that the gateway may ask; it is not among them itself."""
    return {urlsplit(u).netloc for u in (world.crane_url, world.public_url, world.realm.issuer)}


def by_option(url: str, user: User, active: Path) -> list[str]:
    return ["--proxy", url]


def by_option_before_the_command(url: str, user: User, active: Path) -> list[str]:
    return [f"--proxy={url}"]


def by_file(url: str, user: User, active: Path) -> list[str]:
    (active / "pip.conf").write_text(f"[global]\nproxy = {url}\n")
    return []


def by_section_of_the_file(url: str, user: User, active: Path) -> list[str]:
    (active / "pip.conf").write_text(f"[install]\nproxy = {url}\n")
    return []


def by_variable(url: str, user: User, active: Path) -> list[str]:
    user.variables["PIP_PROXY"] = url
    return []


PROXIES = [by_option, by_option_before_the_command, by_file, by_section_of_the_file, by_variable]


# Each pip hands other settings on to the pip that it starts.
PIPS_AND_SETTINGS = [
    *((pip, by_file) for pip in EVERY_PIP),
    *((OLDEST_AND_NEWEST[-1], setting) for setting in PROXIES if setting is not by_file),
]


@pytest.mark.parametrize(
    ("pip", "setting"), PIPS_AND_SETTINGS, ids=lambda v: getattr(v, "__name__", str(v))
)
def test_pips_own_proxy_does_not_stand_before_the_gateway(
    pip: Pip,
    setting: Callable[[str, User, Path], list[str]],
    world: World,
    ready: User,
    make_environment: Callable[..., Path],
) -> None:
    """Neither for pip nor for the pip that it starts to build; the gateway itself goes through."""
    folder = make_environment(pip)
    world.add_private("secret-backend", files={"secret_backend.py": ""})
    make_built_sdist(
        world.private / "secret-lib",
        "secret-lib",
        build_requires=["secret-backend"],
        prologue="import secret_backend",
    )
    ready.variables["PIP_RETRIES"] = "0"

    with serving(Forwarder) as proxy:
        options = setting(f"http://127.0.0.1:{proxy.server_port}", ready, folder)
        done = ready.crane("pip", "--python", str(folder), *options, "install", "secret-lib")

    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(folder) == {"secret_lib-1.0"}
    assert urlsplit(world.crane_url).netloc in proxy.asked
    assert set(proxy.asked) <= known_to(world)


def test_hosts_that_are_listed_as_without_proxy_stay_so_for_the_gateway(
    world: World, ready: User, active: Path
) -> None:
    world.add_private("secret-lib")

    done = ready.crane("pip", "--proxy", DEAD, "install", "secret-lib", NO_PROXY="127.0.0.1")

    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(active) == {"secret_lib-1.0"}


def test_pips_own_proxy_is_still_used_for_other_hosts(
    world: World, ready: User, active: Path
) -> None:
    world.add_private("secret-lib")

    with serving(Page) as proxy:
        # A name that only the proxy knows.
        links = "http://wheels.example.test/wheels/"
        done = ready.crane(
            "pip", "--proxy", f"http://127.0.0.1:{proxy.server_port}", "--retries", "0",
            "--trusted-host", "wheels.example.test",
            "install", "secret-lib", "--find-links", links, NO_PROXY="127.0.0.1",
        )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert proxy.asked == [links], done.stdout + done.stderr


def test_the_users_list_of_hosts_without_proxy_is_kept(ready: User, telling: Callable) -> None:
    pip = telling()

    ready.crane(
        "pip", *INDEX_ROUTE, "--python", str(pip.environment), "install", "x",
        NO_PROXY="intra.example.com,::1",
    )  # fmt: skip

    host = urlsplit(pip.index_url).hostname
    for name in ("NO_PROXY", "no_proxy"):
        assert pip.told["environ"][name].split(",")[-1] == host
    assert pip.told["environ"]["NO_PROXY"].split(",") == ["intra.example.com", "::1", host]


@pytest.mark.parametrize("proxy", ["socks5://me:hunter2@127.0.0.1:9", "ftp://me:hunter2@p:9"])
def test_a_proxy_that_the_gateway_cannot_use_is_told_in_one_line(
    proxy: str, ready: User, telling: Callable
) -> None:
    pip = telling()

    done = ready.crane("pip", "--python", str(pip.environment), "--proxy", proxy, "install", "x")

    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert done.returncode == 0 or not pip.was_called


def test_an_empty_proxy_takes_that_of_pips_files_away(
    world: World, ready: User, active: Path
) -> None:
    world.add_private("secret-lib")
    by_file(DEAD, ready, active)

    done = ready.crane("pip", "install", "secret-lib", "--proxy", "", PIP_RETRIES="0")

    assert done.returncode == 0, done.stdout + done.stderr
