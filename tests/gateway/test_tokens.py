"""The token goes to its own index and nowhere else, and is renewed once where it is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from gateway.harness import ROOT_PAGE, Gate, Home, index_of, tokens_seen
from gateway.upstream import Crowd, Scripted, ask, get_path_as_it_is, whole

from crane_devserver import Fault, Repository, make_wheel, serve_in_thread

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.conftest import Site
    from support.world import World

    from crane_core.config.model import Index

WHEEL = "lib-1.0-py3-none-any.whl"
OUTSIDE = [
    "/python/files/other/lib-1.0-py3-none-any.whl",
    "/python/files/",
    "/python/files/pythonx/lib-1.0-py3-none-any.whl",
    "/python/files/PYTHON/lib-1.0-py3-none-any.whl",
    "/python/files/python/../other/lib-1.0-py3-none-any.whl",
    "/python/files/python/./../other/lib-1.0-py3-none-any.whl",
    "/python/files/python/%2e%2e/other/lib-1.0-py3-none-any.whl",
    "/python/files/python/%2E./other/lib-1.0-py3-none-any.whl",
    "/python/files/python/..%2fother/lib-1.0-py3-none-any.whl",
    "/python/files/python/..%5Cother/lib-1.0-py3-none-any.whl",
    "/python/files/python/..\\other/lib-1.0-py3-none-any.whl",
    "/python/files/python/..;/other/lib-1.0-py3-none-any.whl",
    "/python/files/python/..;x=y/other/lib-1.0-py3-none-any.whl",
    "/python/files/python/..%00/other/lib-1.0-py3-none-any.whl",
    "/python/files//python/lib-1.0-py3-none-any.whl",
    "/python/files/%70ython/../other/lib-1.0-py3-none-any.whl",
    "/python/files/other/../python/lib-1.0-py3-none-any.whl",
    "/python/files/..//python/lib-1.0-py3-none-any.whl",
    "/python/files?/python/lib-1.0-py3-none-any.whl",
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_outside_of_the_index_or_one_a_server_might_resolve_there_is_never_asked(
    site: Site, path: str
) -> None:
    before = len(site.world.crane.requests)

    status, _ = get_path_as_it_is(site.gate, path)

    asked = site.world.crane.requests[before:]
    assert [r.path for r in asked if r.header("authorization")] == []
    assert status in {400, 403, 404}


def test_every_request_to_the_private_index_has_a_token_and_none_to_the_public_one(
    world: World, gate: Gate
) -> None:
    world.add_private("secret-lib")
    world.add_public("public-lib")
    gate.get(gate.files("secret-lib")[0]["url"])
    gate.files("public-lib")
    gate.project("nobody-has-this")

    assert {r.authorized_user for r in world.crane.requests if "keys" not in r.path} == {"ada"}
    assert len(world.public_server.requests) == 2
    assert tokens_seen(world) == []


def test_what_the_tool_sends_about_itself_never_reaches_an_index(site: Site) -> None:
    path = site.world.add_private("own-lib")
    site.world.add_public("own-public-lib")
    mine = (
        "authorization: Basic bWU6bXktcGFzc3dvcmQ=",
        "cookie: session=mine",
        "proxy-authorization: Basic bWU6bXktcGFzc3dvcmQ=",
        "x-forwarded-for: 10.0.0.1",
        "referer: http://intranet/",
        "user-agent: my-tool/1.0",
    )
    for url in (
        "/python/simple/own-lib/",
        "/python/simple/own-public-lib/",
        f"/python/files/python/own-lib/{path.name}",
    ):
        assert ask(site.gate, url, *mine).status == 200

    seen = [r for r in site.world.crane.requests if "own-" in r.path]
    seen += [r for r in site.world.public_server.requests if "own-" in r.path]
    assert len(seen) >= 4
    for record in seen:
        assert record.header("cookie") is None
        assert record.header("proxy-authorization") is None
        assert record.header("x-forwarded-for") is None
        assert record.header("referer") is None
        assert "Basic" not in (record.header("authorization") or "")
        assert "my-tool" not in (record.header("user-agent") or "")


@pytest.mark.parametrize(
    "href",
    [
        "/other/{wheel}", "/python/../other/{wheel}", "%2e%2e/%2e%2e/other/{wheel}",
        "../../other/{wheel}", "..%2f..%2fother/{wheel}", "/pythonx/{wheel}",
        "{public}/{wheel}", "//127.0.0.1:1/python/{wheel}", "http://user@{netloc}@evil.example/{wheel}",
        "/python/..;/other/{wheel}",
    ],
)  # fmt: skip
def test_a_page_can_point_the_token_to_no_other_place(site: Site, href: str) -> None:
    """Such a link stays what it is, for the tool to fetch without a token."""
    name = f"pointing-{abs(hash(href))}"
    folder = site.world.private / name
    folder.mkdir(exist_ok=True)
    netloc = site.world.crane_url.removeprefix("http://")
    link = href.format(wheel=WHEEL, public=site.world.public_url, netloc=netloc)
    (folder / "index.html").write_text(f'<a href="{link}">{WHEEL}</a>')

    urls = [file["url"] for file in site.gate.files(name)]

    assert not any(url.startswith(site.gate.url) for url in urls)


class TestARedirect:
    """Where it leads decides about the token."""

    def fetch(self, site: Site, path: str, location: str) -> tuple[int, str]:
        fault = Fault(path, status=302, headers=(("location", location),))
        with site.world.crane.faults.during(fault):
            answer = site.gate.get(f"/python/files{path}")
        return answer.status_code, answer.reason_phrase

    def test_of_a_file_to_another_host_is_followed_without_the_token(self, site: Site) -> None:
        site.world.add_public("stored-lib")
        target = f"{site.world.public_url}/stored-lib/stored_lib-1.0-py3-none-any.whl"
        before = len(site.world.public_server.requests)
        status, _ = self.fetch(site, "/python/stored-lib/x-1.0.whl", target)
        (followed,) = site.world.public_server.requests[before:]
        assert status == 200
        assert followed.header("authorization") is None

    def test_within_the_index_is_followed_with_the_token(self, site: Site) -> None:
        site.world.add_private("here-lib")
        target = "/python/here-lib/here_lib-1.0-py3-none-any.whl"
        assert self.fetch(site, "/python/there-lib/x-1.0.whl", target)[0] == 200

    @pytest.mark.parametrize(
        "location",
        ["/login", "/other/x.whl", "../../other/x.whl", "/python/%2e%2e/other/x.whl",
         "/python/..;/other/x.whl", "/python/..%2fother/x.whl"],
    )  # fmt: skip
    def test_to_another_place_on_the_same_host_is_refused_and_not_followed(
        self, site: Site, location: str
    ) -> None:
        before = len(site.world.crane.requests)
        status, reason = self.fetch(site, "/python/away-lib/x-1.0.whl", location)
        paths = [r.path for r in site.world.crane.requests[before:]]
        assert (status, paths) == (403, ["/python/away-lib/x-1.0.whl"])
        assert "refused the login (it redirects to" in reason

    @pytest.mark.parametrize(
        "location", ["file:///etc/passwd", "ftp://evil.example/x.whl", "http://[::1", "gopher:x"]
    )
    def test_to_what_is_no_http_url_is_an_error_with_a_reason(
        self, site: Site, location: str
    ) -> None:
        status, reason = self.fetch(site, "/python/odd-lib/x-1.0.whl", location)
        assert status in {403, 502, 504}
        assert reason.startswith("crane: ")

    def test_of_a_page_to_another_host_is_refused_and_not_followed(self, site: Site) -> None:
        site.world.add_public("elsewhere-lib")
        fault = Fault(
            "/python/elsewhere-lib/",
            status=302,
            headers=(("location", f"{site.world.public_url}/elsewhere-lib/"),),
        )
        with site.world.crane.faults.during(fault):
            assert site.gate.project("elsewhere-lib").status_code == 403
        assert site.asked_public("elsewhere-lib") == []

    def test_of_the_public_index_is_followed(self, site: Site) -> None:
        site.world.add_public("renamed-lib")
        fault = Fault(
            "/simple/old-lib/",
            status=301,
            headers=(("location", f"{site.world.public_url}/renamed-lib/"),),
        )
        with site.world.public_server.faults.during(fault):
            assert site.gate.names("old-lib") == ["renamed_lib-1.0-py3-none-any.whl"]

    def test_of_the_public_index_to_the_private_one_takes_no_token_along(self, site: Site) -> None:
        site.world.add_private("lured-lib")
        target = f"{site.world.index_url}/lured-lib/"
        fault = Fault("/simple/lure-lib/", status=302, headers=(("location", target),))
        before = len(site.world.crane.requests)
        with site.world.public_server.faults.during(fault):
            answer = site.gate.project("lure-lib")
        lured = [r for r in site.world.crane.requests[before:] if "lured-lib" in r.path]
        assert answer.status_code != 200
        assert all(r.header("authorization") is None for r in lured)


class TestARefusedToken:
    """The index may know better than the clock that a token has ended."""

    def test_is_renewed_once_and_the_request_sent_once_more(self, world: World, gate: Gate) -> None:
        world.add_private("secret-lib")
        gate.files("secret-lib")
        world.realm.clear_requests()
        world.crane.faults.append(Fault("/python/secret-lib/", status=401, times=1))

        assert gate.project("secret-lib").status_code == 200

        refused, repeated = [r for r in world.crane.requests if "secret-lib" in r.path][-2:]
        assert refused.header("authorization") != repeated.header("authorization")
        assert len(world.realm.requests("token", grant="refresh_token")) == 1

    def test_that_is_refused_again_is_an_error_without_a_second_renewal(
        self, world: World, gate: Gate
    ) -> None:
        world.realm.clear_requests()
        world.crane.faults.append(Fault("/python/secret-lib/x-1.0.whl", status=401))

        answer = gate.get("/python/files/python/secret-lib/x-1.0.whl")

        assert (answer.status_code, len(world.asked("/python/secret-lib/"))) == (403, 2)
        assert "HTTP 401" in answer.reason_phrase
        assert len(world.realm.requests("token", grant="refresh_token")) == 1

    def test_is_renewed_once_for_all_that_were_refused_at_the_same_time(
        self, world: World, home: Home
    ) -> None:
        names = [f"lib-{n}" for n in range(8)]
        crowd = Crowd(len(names))
        upstream = Scripted({f"/python/{name}/": crowd for name in names})
        upstream.routes["/python/"] = whole(200, b"<title>Simple index</title>")
        with serve_in_thread(upstream) as url:
            index = index_of(world, url=f"{url}/python")
            session = home.login(index)
            crowd.refused = f"Bearer {session.tokens.access_token.reveal()}"
            with home.serve(index) as gate, ThreadPoolExecutor(8) as threads:
                gate.project("warm-up")
                world.realm.clear_requests()
                answers = list(threads.map(gate.project, names))

        assert [answer.status_code for answer in answers] == [200] * 8
        assert len(world.realm.requests("token", grant="refresh_token")) == 1

    def test_that_is_always_refused_costs_one_renewal_and_not_one_for_each_page(
        self, world: World, gate: Gate
    ) -> None:
        gate.project("warm-up")
        world.realm.clear_requests()
        world.crane.faults.append(Fault("/python/lib-", status=401))

        answers = [gate.project(f"lib-{n}") for n in range(3)]

        assert [answer.status_code for answer in answers] == [403] * 3
        assert len(world.realm.requests("token", grant="refresh_token")) == 1

    def test_without_a_way_to_renew_it_is_403_and_names_the_command(
        self, world: World, gate: Gate
    ) -> None:
        world.realm.revoke_user("ada")
        world.add_public("secret-lib", "9.0")
        world.crane.faults.append(Fault("/python/", status=401))

        answer = gate.project("secret-lib")
        for_pip = ask(gate, "/python/simple/secret-lib/", "user-agent: pip/26.3")

        assert answer.status_code == 403
        assert "crane login python" in answer.reason_phrase
        assert "www-authenticate" not in answer.headers
        assert b"crane login python" in for_pip.body
        assert len(world.public_server.requests) == 0

    def test_is_followed_by_a_login_where_somebody_is_there(
        self, world: World, home: Home, gate: Gate
    ) -> None:
        world.add_private("secret-lib")
        world.realm.revoke_user("ada")
        home.person.there = True
        world.crane.faults.append(Fault(ROOT_PAGE, status=401, times=1))
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(gate.project, ["secret-lib"] * 4))

        assert [answer.status_code for answer in answers] == [200] * 4
        assert home.person.logins == 1

    def test_while_the_provider_is_down_is_an_error_that_names_it(
        self, world: World, gate: Gate
    ) -> None:
        world.realm.respond(503, "down", times=None)
        world.crane.faults.append(Fault("/python/", status=401))
        answer = gate.project("secret-lib")
        assert answer.status_code == 504
        assert answer.reason_phrase.startswith("crane: ")


def test_a_user_who_never_logged_in_sends_no_request_at_all(
    world: World, home: Home, index: Index
) -> None:
    world.add_public("secret-lib")
    with home.serve(index) as gate:
        answer = gate.project("secret-lib")
        file = gate.get("/python/files/python/secret-lib/x-1.0.whl")

    assert (answer.status_code, file.status_code) == (403, 403)
    assert "crane login python" in answer.reason_phrase
    assert [r.path for r in world.crane.requests] == []
    assert len(world.public_server.requests) == 0


def test_one_index_never_gets_the_token_of_another_on_the_same_host(
    world: World, home: Home, tmp_path: Path
) -> None:
    """Both have a session of their own here, since their audience differs."""
    folder = tmp_path / "other"
    make_wheel(folder / "other-lib", "other-lib", "1.0")
    world.crane.repositories["other"] = Repository("other", folder, read_groups=frozenset({"all"}))
    first = index_of(world)
    second = index_of(world, name="other", url=f"{world.crane_url}/other", scope="openid")
    home.login(first, "ada")
    home.login(second, "bob")
    with home.serve(first, second) as gate:
        gate.project("any-lib", "python")
        gate.project("any-lib", "other")

    users = {(r.path.split("/")[1], r.authorized_user) for r in world.crane.requests}
    assert {("python", "ada"), ("other", "bob")} == {u for u in users if u[0] != ".well-known"}
