"""An index that sends its users elsewhere, with an eye on every server that may see the token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import httpx2
import pytest
from forward.rig import PRIVATE_HOST, Site
from gateway.upstream import Scripted
from idp.oidc import Realm
from publish.kit import encoded, fields_of
from run.kit import Machine, says
from support.pips import log_in, register
from support.serving import serving
from support.world import User

from crane_devserver import Fault, make_wheel
from crane_devserver.running import serve_in_thread

# Another host, port and scheme; hosts that look alike; and the same host, outside of the index.
ELSEWHERE = [
    "https://evil.test/{path}", "//evil.test/{path}", f"https://{PRIVATE_HOST}:8443/{{path}}",
    f"http://{PRIVATE_HOST}/{{path}}", f"http://{PRIVATE_HOST}:443/{{path}}",
    f"https://evil.{PRIVATE_HOST}/{{path}}", f"https://{PRIVATE_HOST}.evil.test/{{path}}",
    f"https://{PRIVATE_HOST}@evil.test/{{path}}", f"https://evil.test\\@{PRIVATE_HOST}/{{path}}",
    f"https://{PRIVATE_HOST}/python/../elsewhere/{{path}}", "/elsewhere/{path}",
    "/python/%2e%2e/elsewhere/{path}", "/python2/{path}", "https://127.0.0.1:8443/{path}",
]  # fmt: skip
WATCHED = (
    ("evil.test", 443), (PRIVATE_HOST, 8443), (f"evil.{PRIVATE_HOST}", 443),
    (f"{PRIVATE_HOST}.evil.test", 443), ("127.0.0.1", 8443),
)  # fmt: skip
STATUSES = (301, 302, 303, 307, 308)
CURL = """
curl -sL -o /dev/null "$0/lib-$n/"
curl -sL -o /dev/null "$0/lib-$n/lib_$n-1.0-py3-none-any.whl"
curl -sL -o /dev/null --post301 --post302 -F "file=@$1" "$0/lib-$n/lib_$n-1.0-py3-none-any.whl"
curl -sL -o /dev/null --post301 --post302 -F ":action=file_upload" -F "content=@$1" "$0/lib-$n/"
"""


@dataclass
class Watch:
    """A user, and what every other server has seen."""

    machine: Machine
    token: str
    servers: list[Scripted] = field(default_factory=list)

    def seen(self) -> list[tuple[str, str, dict[str, str]]]:
        return [request for server in self.servers for request in server.requests]


@pytest.fixture
def watch(site: Site, user: User, realm: Realm) -> Iterator[Watch]:
    """Give a user who is logged in, and servers that note who asks with what."""
    user.variables = {"HTTPS_PROXY": site.net.url(), "HTTP_PROXY": site.net.url(), "CI": "1"}
    user.variables["SSL_CERT_FILE"] = site.net.ca_file
    index = site.index()
    register(user, index)
    watch = Watch(Machine(user, site), log_in(user, realm, index))
    with ExitStack() as stack:
        for name, port in WATCHED:
            watch.servers.append(Scripted())
            stack.enter_context(site.net.host(watch.servers[-1], name, port))
        watch.servers.append(Scripted())
        plain = stack.enter_context(serve_in_thread(watch.servers[-1]))
        site.net.places[f"{PRIVATE_HOST}:80"] = int(plain.rpartition(":")[2])
        for number, target in enumerate(ELSEWHERE):
            fault = Fault(
                f"/python/lib-{number}/", status=STATUSES[number % len(STATUSES)],
                headers=[("location", target.format(path=f"lib-{number}/x.whl"))],
            )  # fmt: skip
            site.crane.faults.append(fault)
        yield watch
        watch.machine.end_all()


def test_no_redirect_takes_the_token_along(watch: Watch) -> None:
    """Of pages, files and uploads, by the index's local URL and by its own one."""
    machine, site = watch.machine, watch.machine.site
    user = machine.user
    wheel = make_wheel(user.home / "dist", "lib-0", "1.0")
    with serving(user) as served, httpx2.Client(trust_env=False, timeout=60) as http:
        for number in range(len(ELSEWHERE)):
            http.get(f"{served.url}/python/simple/lib-{number}/")
            name = f"lib_{number}-1.0-py3-none-any.whl"
            http.get(f"{served.url}/python/files/python/lib-{number}/{name}")
            other = make_wheel(user.home / "dist", f"lib-{number}", "1.0")
            kind, body = encoded(other, fields_of(other))
            url = f"{served.url}/python/legacy/"
            answer = http.post(url, content=body, headers={"content-type": kind})
            assert answer.status_code >= 400, (ELSEWHERE[number], answer.reason_phrase)
        by_serve = len(watch.seen())
    numbers = " ".join(map(str, range(len(ELSEWHERE))))
    script = f"for n in {numbers}; do {CURL} done"
    done = machine.run("sh", "-c", script, site.index_url, str(wheel))
    assert "Traceback" not in says(done)

    asked = site.crane.requests
    for number, target in enumerate(ELSEWHERE):
        own = [r for r in asked if r.path.startswith(f"/python/lib-{number}/")]
        # The control: the index itself has seen the token, in each of the ways.
        assert {r.method for r in own} >= {"GET", "POST"}, target
        assert all(r.header("authorization") == f"Bearer {watch.token}" for r in own), target
    outside = [r for r in asked if not r.path.startswith("/python/") or ".." in r.path.lower()]
    assert not [r for r in outside if watch.token in str(r.header("authorization"))]
    # Files may lie elsewhere: so both have been there, and nobody has brought the token.
    assert 0 < by_serve < len(watch.seen())
    for method, path, headers in watch.seen():
        assert watch.token not in f"{path} {headers}", (method, path)
        assert not any("authorization" in name for name in headers), (method, path)
