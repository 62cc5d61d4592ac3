"""Private-first for tools that ask several indexes by themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from forward import raw
from forward.net import Net
from forward.rig import UV, Rig, Site, forward, says
from gateway.harness import Home
from gateway.upstream import Scripted, whole
from support.pips import OLDEST_AND_NEWEST, MakeEnvironment, Pip, installed

from crane_core.index.provenance import SqliteProvenance

JSON = "accept: application/vnd.pypi.simple.v1+json"


def page(rig: Rig, view, url: str, *headers: str) -> tuple[int, list[str], str]:
    """Return the status, the versions on a page and the reason phrase."""
    answer = raw.get(rig, view, url, JSON, *headers)
    files = json.loads(answer.body)["files"] if answer.status == 200 else []
    return answer.status, [f["filename"].split("-")[1] for f in files], answer.status_line


@pytest.fixture
def both(site: Site) -> Site:
    """Give both indexes one project, with a higher version at the public one."""
    site.add_private("firm-lib", "1.0")
    site.add_public("firm-lib", "9.0")
    site.add_public("open-lib", "2.0")
    return site


@pytest.mark.parametrize("pip", OLDEST_AND_NEWEST, ids=str)
@pytest.mark.parametrize("private_is_first", [True, False])
def test_pip_with_two_indexes(
    rig: Rig, both: Site, make_environment: MakeEnvironment, pip: Pip, private_is_first: bool
) -> None:
    """A higher version at the public index is never taken; the control is a pip without crane."""
    urls = [both.index_url, both.public_url]
    first, extra = urls if private_is_first else urls[::-1]
    line = ["-m", "pip", "install", "--no-input", "firm-lib", "open-lib",
            "--index-url", first, "--extra-index-url", extra]  # fmt: skip
    environment = make_environment(pip)
    done = rig.run(rig.open(), str(environment / "bin" / "python"), *line)
    assert done.returncode == 0, says(done)
    assert installed(environment) >= {"firm_lib-1.0", "open_lib-2.0"}
    assert not both.logins_seen_by_public()
    # A view that opens no index: what pip does by itself.
    control = make_environment(pip, name="control")
    done = rig.run(rig.open(indexes=()), str(control / "bin" / "python"), *line)
    assert "firm_lib-9.0" in installed(control), says(done)


@pytest.mark.parametrize("order", ["firm, open", "open, firm"])
def test_uv_whatever_its_strategy(rig: Rig, both: Site, tmp_path: Path, order: str) -> None:
    urls = {"firm": both.index_url, "open": both.public_url}
    indexes = [word for name in order.split(", ") for word in ("--index", urls[name])]
    done = rig.run(
        rig.open(), UV, "pip", "install", "--dry-run", "--target", str(tmp_path / "t"), "firm-lib",
        *indexes, "--no-config", "--index-strategy", "unsafe-best-match",
        "--default-index", both.public_url,
    )  # fmt: skip
    assert done.returncode == 0, says(done)
    assert "firm-lib==1.0" in done.stderr, says(done)


def test_the_public_page_of_an_owned_name_says_whose_it_is(rig: Rig, both: Site) -> None:
    view = rig.open()
    status, _, line = page(rig, view, f"{both.public_url}/firm-lib/")
    assert status == 404
    assert "firm-lib belongs to python" in line
    assert page(rig, view, f"{both.public_url}/open-lib/")[:2] == (200, ["2.0"])
    assert page(rig, view, f"{both.index_url}/firm-lib/")[:2] == (200, ["1.0"])
    assert not any("firm-lib" in r.path for r in both.public_server.requests)


SPELLINGS = [
    "Firm_Lib/", "firm.lib/", "firm-lib", "/firm-lib/", "%66irm-lib/", "./firm-lib/",
    "x/../firm-lib/", "firm%2Dlib/", "firm-lib//", "firm-lib/index.html",
    "firm-lib/firm_lib-9.0-py3-none-any.whl", "firm-lib/?format=x", "firm%2dlib",
]  # fmt: skip


@pytest.mark.parametrize("spelled", SPELLINGS)
@pytest.mark.parametrize("logged_in", [True, False], ids=["own login", "none"])
def test_no_spelling_leads_around_the_owner(
    rig: Rig, both: Site, spelled: str, logged_in: bool
) -> None:
    """Nor a login of the tool's own, whose requests are handed on as they are."""
    view = rig.open()
    headers = ["authorization: Basic YWRhOnB3"] if logged_in else []
    answer = raw.get(rig, view, f"{both.public_url}/{spelled}", JSON, *headers)
    assert answer.status in {301, 404}, answer.head
    assert b"9.0" not in answer.body
    assert not any("irm" in r.path.lower() for r in both.public_server.requests)


def test_what_the_index_served_before_stays_its_own(rig: Rig, both: Site, home: Home) -> None:
    """Provenance; after `crane index release` the name is free."""
    view = rig.open()
    assert page(rig, view, f"{both.index_url}/firm-lib/")[0] == 200
    for file in (both.private / "firm-lib").iterdir():
        file.unlink()
    (both.private / "firm-lib").rmdir()
    home.clock.ahead += 700
    assert page(rig, view, f"{both.public_url}/firm-lib/")[0] == 404
    assert home.release(both.index(), "firm-lib")
    home.clock.ahead += 700
    assert page(rig, view, f"{both.public_url}/firm-lib/")[:2] == (200, ["9.0"])


def test_patterns_hold_before_the_first_upload(
    net: Net, site: Site, home: Home, tmp_path: Path
) -> None:
    site.add_public("acme-new", "9.0")
    index = site.index(private=("Acme_*",))
    home.login(index)
    with forward(home, net, tmp_path, index) as rig:
        view = rig.open()
        assert page(rig, view, f"{site.public_url}/acme-new/")[0] == 404
    assert not any("acme" in r.path for r in (*site.public_server.requests, *site.crane.requests))


def test_without_a_login_only_what_is_known_is_kept(
    net: Net, site: Site, home: Home, tmp_path: Path
) -> None:
    """Everybody else's names go on working; the index itself says what to do."""
    site.add_public("known", "9.0")
    site.add_public("open-lib", "2.0")
    index = site.index()
    provenance = SqliteProvenance(home.paths.provenance)
    provenance.record_project(index.token_prefix, "known").result()
    provenance.close()
    with forward(home, net, tmp_path, index) as rig:
        view = rig.open()
        assert page(rig, view, f"{site.public_url}/known/")[0] == 404
        assert page(rig, view, f"{site.public_url}/open-lib/")[:2] == (200, ["2.0"])
        status, _, line = page(rig, view, f"{site.index_url}/firm-lib/")
        assert status == 403
        assert "run: crane login python" in line
        # From now on the tool is known to work with that index: any name may be its own.
        assert page(rig, view, f"{site.public_url}/open-lib/")[0] == 403
        # So it is where a command names the index.
        named = rig.open(indexes=("python",))
        assert page(rig, named, f"{site.public_url}/open-lib/")[0] == 403
    assert not site.crane.requests


TROUBLE = [500, 503, 403, 429]


@pytest.mark.parametrize("status", TROUBLE)
def test_an_index_in_trouble_lets_nobody_else_answer(
    rig: Rig, both: Site, home: Home, status: int
) -> None:
    """An error of the owner is an error of the public page too, in pip's words and in uv's."""
    from crane_devserver import Fault

    both.crane.faults.append(Fault(path="/python", status=status))
    view = rig.open()
    answered, _, line = page(rig, view, f"{both.public_url}/firm-lib/")
    assert answered >= 403
    assert "crane:" in line
    pip = raw.get(rig, view, f"{both.public_url}/firm-lib/", "user-agent: pip/26.3 {}")
    assert b"crane: " in pip.body
    assert b"0\r\n\r\n" not in pip.body
    assert not any("firm-lib" in r.path for r in both.public_server.requests)


def test_a_name_of_nobody_is_404_at_both(rig: Rig, site: Site) -> None:
    view = rig.open()
    assert page(rig, view, f"{site.index_url}/nobodys/")[0] == 404
    assert page(rig, view, f"{site.public_url}/nobodys/")[0] == 404


def test_a_fallback_is_served_only_where_it_is_wished_for(rig: Rig, both: Site) -> None:
    """A page of the public index under the private URL would put a false source into a lock."""
    assert page(rig, rig.open(), f"{both.index_url}/open-lib/")[0] == 404
    view = rig.open(serves_fallback=True)
    assert page(rig, view, f"{both.index_url}/open-lib/")[:2] == (200, ["2.0"])
    assert page(rig, view, f"{both.index_url}/firm-lib/")[:2] == (200, ["1.0"])


@pytest.fixture
def third(net: Net) -> Iterator[tuple[str, Scripted]]:
    """Give another index, with PyPI's JSON API beside it."""
    link = b"<a href='firm_lib-8.0-py3-none-any.whl'>x</a>"
    info = b'{"info": {"name": "firm-lib"}, "releases": {"8.0": []}}'
    routes = {
        "/root/simple/firm-lib/": whole(200, link),
        "/root/simple/other-lib/": whole(200, link.replace(b"firm", b"other")),
        "/root/simple/secret-lib/": whole(401, b"", www_authenticate="Basic realm=third"),
        "/pypi/firm-lib/json": whole(200, info, "application/json"),
        "/pypi/firm-lib/8.0/json": whole(200, info, "application/json"),
        "/pypi/other-lib/json": whole(200, info, "application/json"),
        "/root/pypi/firm-lib/json": whole(200, info, "application/json"),
    }
    app = Scripted(routes)
    with net.host(app, "third.test") as url:
        yield f"{url}/root/simple", app


def test_further_indexes_of_a_command_are_opened(third, rig: Rig, both: Site) -> None:
    url, app = third
    view = rig.open(others=(f"{url}/",))
    assert page(rig, view, f"{url}/firm-lib/")[0] == 404
    assert page(rig, view, f"{url}/other-lib/")[:2] == (200, ["8.0"])
    assert [path for _, path, _ in app.requests] == ["/root/simple/other-lib/"]
    assert not any("authorization" in headers for _, _, headers in app.requests)


@pytest.mark.parametrize(
    "path", ["/pypi/{}/json", "/pypi/{}/8.0/json", "/root/pypi/{}/json", "//pypi/{}/json"]
)
def test_pypis_json_api_as_poetry_asks_it(third, rig: Rig, both: Site, path: str) -> None:
    """Owned names are 404 there too; others are handed on as they are."""
    view = rig.open(others=(third[0],))
    owned = raw.get(rig, view, "https://third.test" + path.format("Firm_Lib"))
    assert owned.status == 404
    assert "belongs to python" in owned.status_line
    assert not third[1].requests
    other = raw.get(rig, view, "https://third.test/pypi/other-lib/json")
    assert json.loads(other.body)["releases"]


def test_an_index_with_a_login_of_the_tools_own(third, rig: Rig, both: Site) -> None:
    """It hears itself that a login is wanted there, and shows it there only."""
    url, app = third
    view = rig.open(others=(url,))
    asked = raw.get(rig, view, f"{url}/secret-lib/")
    assert asked.status == 401
    assert "www-authenticate: basic realm=third" in asked.head.lower()
    login = "authorization: Basic YWRhOnB3"
    assert raw.get(rig, view, f"{url}/other-lib/", login).status == 200
    assert app.requests[-1][2]["authorization"] == "Basic YWRhOnB3"
    assert raw.get(rig, view, f"{url}/firm-lib/", login).status == 404


def test_named_indexes_stand_in_their_order(
    net: Net, site: Site, home: Home, tmp_path: Path
) -> None:
    """As `crane pip -i A -i B`; without an order each says what it has."""
    from crane_devserver.behaviour import STATIC_INDEX
    from crane_devserver.crane import CraneServer
    from crane_devserver.repository import Repository
    from crane_devserver.wheels import make_wheel

    site.add_private("firm-lib", "1.0")
    make_wheel(tmp_path / "two" / "firm-lib", "firm-lib", "5.0")
    make_wheel(tmp_path / "two" / "two-lib", "two-lib", "5.0")
    server = CraneServer(
        [Repository("two", tmp_path / "two", read_groups=frozenset({"everyone"}))],
        keys=f"{site.realm.issuer}/jwks", issuer=site.realm.issuer, behaviour=STATIC_INDEX,
    )  # fmt: skip
    with net.host(server, "two.test") as url:
        one, two = site.index(), site.index(name="two", url=f"{url}/two", fallback="none")
        home.login(one)
        home.login(two)
        with forward(home, net, tmp_path, one, two) as rig:
            expected = {
                ("python", "two"): ((200, ["1.0"]), (404, [])),
                ("two", "python"): ((404, []), (200, ["5.0"])),
                None: ((200, ["1.0"]), (200, ["5.0"])),
            }
            for order, answers in expected.items():
                view = rig.open(indexes=order)
                urls = f"{one.url}/firm-lib/", f"{two.url}/firm-lib/"
                assert tuple(page(rig, view, u)[:2] for u in urls) == answers, order
                assert page(rig, view, f"{two.url}/two-lib/")[0] == 200
            # An index that the view does not name has neither a token nor names of its own.
            view = rig.open(indexes=("python",))
            assert f"{url}" not in view.origins


def test_an_index_that_is_not_registered_opens_no_view(rig: Rig) -> None:
    from crane_core.errors import NotRegistered

    with pytest.raises(NotRegistered):
        rig.open(indexes=("nobody",))


def test_roots_with_escapes(net: Net, site: Site, home: Home, tmp_path: Path) -> None:
    """The private-first rule holds for an index whose path needs escapes."""
    site.add_private("firm-lib")
    index = site.index()
    home.login(index)
    app = Scripted({"/a b/simple/firm-lib/": whole(200, b"9.0"), "/a b/simple/x/": whole(200, b"")})
    with net.host(app, "odd.test") as url, forward(home, net, tmp_path, index) as rig:
        view = rig.open(others=(f"{url}/a%20b/simple",))
        assert page(rig, view, f"{url}/a%20b/simple/firm-lib/")[0] == 404
        assert page(rig, view, f"{url}/a%20b/simple/Firm.Lib")[0] == 301
    assert not app.requests


def test_another_index_below_the_folder_of_a_registered_one(
    net: Net, site: Site, home: Home, tmp_path: Path
) -> None:
    """The deepest root decides: no token for it, and no private name from it."""
    listing = b"<title>Simple index</title><a href='mine/'>mine</a>"
    routes = {
        "/simple/": whole(200, listing),
        "/simple/mine/": whole(200, b"<a href='mine-1.0.tar.gz'>x</a>"),
        "/mirror/simple/mine/": whole(200, b"<a href='mine-9.0.tar.gz'>x</a>"),
        "/mirror/simple/more/": whole(200, b"<a href='more-9.0.tar.gz'>x</a>"),
    }
    app = Scripted(routes)
    with net.host(app, "one.test") as url:
        index = site.index(name="one", url=f"{url}/simple", fallback=f"{url}/mirror/simple")
        home.login(index)
        with forward(home, net, tmp_path, index) as rig:
            view = rig.open()
            assert page(rig, view, f"{url}/simple/mine/")[0] == 200
            assert page(rig, view, f"{url}/mirror/simple/mine/")[0] == 404
            assert page(rig, view, f"{url}/mirror/simple/more/")[0] == 200
    seen = [(path, "authorization" in headers) for _, path, headers in app.requests]
    assert ("/mirror/simple/more/", False) in seen
    assert ("/simple/mine/", True) in seen
    assert not any(path == "/mirror/simple/mine/" for path, _ in seen)
