"""Every grant of the authlib-based devserver, with real `crane` processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from grants.kit import Ended, Waiting, logging_in
from support.world import User

from crane_devserver import (
    Client,
    DevServer,
    ProviderSettings,
    Repository,
    ScriptedBrowser,
    make_wheel,
    serve_in_thread,
)

SECRET = "s3:cr%t &+"
TEAM = frozenset({"team"})
SERVICE = frozenset({"client_credentials"})
CLIENTS = (
    Client("crane-pip"),
    Client("crane-ci", secret=SECRET, grant_types=SERVICE, groups=TEAM),
    Client("crane-post", secret=SECRET, grant_types=SERVICE, groups=TEAM,
           auth_methods=frozenset({"client_secret_post"})),
)  # fmt: skip


@dataclass
class Site:
    """A running devserver, and a user who has registered its index."""

    server: DevServer
    index_url: str
    user: User

    def form(self, path: str) -> list[int]:
        """Return the statuses of requests to an endpoint of the provider."""
        return [r.status for r in self.server.provider.requests if r.path == f"/idp/{path}"]

    def download(self, into: Path, **environ: str) -> list[str]:
        """Download the private package and return the files."""
        self.user.crane(
            "pip", "download", "firm-lib", "--no-deps", "-d", str(into), check=True, **environ
        )
        return [path.name for path in into.iterdir()]


def start(tmp_path: Path, user: User, settings: ProviderSettings, *options: str) -> Iterator[Site]:
    """Serve, and register the index by what it says about its provider."""
    make_wheel(tmp_path / "files" / "firm-lib", "firm-lib", "1.0")
    repository = Repository("firm", tmp_path / "files", read_groups=TEAM)
    people = {"ada": ("lovelace", ["team"]), "eve": ("drop", [])}
    server = DevServer([repository], people, clients=CLIENTS, settings=settings)
    with serve_in_thread(server) as url:
        user.crane(
            "index", "register", f"{url}/firm", "--yes", "--fallback", "none", *options, check=True
        )
        yield Site(server, f"{url}/firm", user)


QUICK = ProviderSettings(interval=1)


@pytest.fixture
def site(tmp_path: Path, user: User) -> Iterator[Site]:
    """Give a site whose provider wants a poll a second at most."""
    yield from start(tmp_path, user, QUICK)


def log_in(site: Site, act: Callable[[Waiting], object], *arguments: str, **environ: str) -> Ended:
    """Log in while the test is the person."""
    with logging_in(site.user, *arguments, **environ) as login:
        act(login)
        return login.end()


def in_browser(decision: str = "approve") -> Callable[[Waiting], str]:
    """Sign in as ada on the provider's own page."""
    browser = ScriptedBrowser("ada", "lovelace", decision=decision)
    return lambda login: browser.visit(login.url)


def test_the_browser_and_a_package(site: Site, tmp_path: Path) -> None:
    """Authorization code with PKCE; the index takes the token, once it has seen the group."""
    ended = log_in(site, in_browser())
    assert (ended.code, ended.out) == (0, "logged in to firm as ada\n")
    assert site.download(tmp_path / "out") == ["firm_lib-1.0-py3-none-any.whl"]


def test_the_browser_says_no(site: Site) -> None:
    """The provider sends `access_denied` back."""
    assert log_in(site, in_browser("deny")).code == 11


def test_the_device_page(site: Site, tmp_path: Path) -> None:
    """Device authorization, approved on the provider's own page."""
    ended = log_in(site, in_browser(), "--grant", "device")
    assert (ended.code, ended.out) == (0, "logged in to firm as ada\n")
    assert site.download(tmp_path / "out") == ["firm_lib-1.0-py3-none-any.whl"]


def test_the_device_page_says_no(site: Site) -> None:
    """`access_denied` at the next poll."""

    def deny(login: Waiting) -> None:
        (code,) = site.server.provider.pending_codes()
        site.server.provider.deny(code)

    assert log_in(site, deny, "--grant", "device").code == 11


def test_refresh_with_rotation_and_revocation(site: Site) -> None:
    """Each refresh brings another refresh token; logging out revokes the last one."""
    log_in(site, in_browser())
    seen = []
    for _ in range(3):
        (file,) = site.user.sessions.glob("*.json")
        record = json.loads(file.read_text())
        seen.append(record["tokens"]["refresh_token"])
        record["tokens"]["expires_at"] = record["tokens"]["issued_at"]
        file.write_text(json.dumps(record))
        site.user.crane("token", check=True)
    assert len(set(seen)) == 3
    assert site.user.crane("logout", check=True).stderr == ""
    assert set(site.form("revoke")) == {200}


def test_an_administrator_ends_the_grant(site: Site) -> None:
    """`invalid_grant` at the refresh: exit code 4, one line, and the way back in."""
    log_in(site, in_browser())
    site.server.provider.revoke_grants("ada")
    (file,) = site.user.sessions.glob("*.json")
    record = json.loads(file.read_text())
    record["tokens"]["expires_at"] = record["tokens"]["issued_at"]
    file.write_text(json.dumps(record))
    done = site.user.crane("token")
    assert done.returncode == 4
    assert "invalid_grant" in done.stderr
    assert done.stderr.count("\n") == 1
    assert log_in(site, in_browser()).code == 0


@pytest.mark.parametrize("client", ["crane-ci", "crane-post"])
def test_client_credentials(tmp_path: Path, user: User, client: str) -> None:
    """By Basic, and by form where the client may do that only."""
    auth = ("--client-auth", "post") if client == "crane-post" else ()
    for site in start(tmp_path, user, QUICK, "--client-id", client, *auth):
        environ = {"CI": "true", "CRANE_CLIENT_SECRET_FIRM": SECRET}
        assert len(site.download(tmp_path / "out", **environ)) == 1
        assert site.form("token") == [200]
        wrong = user.crane("login", "--force", CI="true", CRANE_CLIENT_SECRET_FIRM="wrong")
        assert wrong.returncode == 13


def test_a_provider_without_refresh_tokens(tmp_path: Path, user: User) -> None:
    """The access token is used to its end, then a login is asked for."""
    settings = ProviderSettings(refresh_tokens=False, device_flow=False)
    for site in start(tmp_path, user, settings):
        log_in(site, in_browser())
        assert user.crane("token", check=True).stdout.count(".") == 2
        (file,) = user.sessions.glob("*.json")
        record = json.loads(file.read_text())
        record["tokens"]["expires_at"] = record["tokens"]["issued_at"]
        file.write_text(json.dumps(record))
        assert user.crane("token").returncode == 4


def test_a_user_without_the_right(site: Site, tmp_path: Path) -> None:
    """Logged in all the same; that a Crane server says 404 to them never opens the fallback."""
    browser = ScriptedBrowser("eve", "drop")
    assert log_in(site, lambda login: browser.visit(login.url)).code == 0
    done = site.user.crane("pip", "download", "firm-lib", "-d", str(tmp_path / "out"))
    assert done.returncode != 0
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
