"""What most Crane users log in at: a real Keycloak, through its real pages."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from grants.kit import Ended, Waiting, logging_in
from providers import keycloak_realm
from providers.keycloak import Keycloak, Missing, running_keycloak
from providers.pages import visit
from support.world import User

from crane_devserver.crane import CraneServer
from crane_devserver.repository import Repository
from crane_devserver.running import serve_in_thread
from crane_devserver.wheels import make_wheel

pytestmark = [
    pytest.mark.keycloak,
    pytest.mark.xdist_group("keycloak"),
    # Fetching, building and starting have limits of their own.
    pytest.mark.timeout(func_only=True),
]


@pytest.fixture(scope="module")
def keycloak() -> Iterator[Keycloak]:
    """Give one Keycloak for all of these tests, or say what is missing."""
    keys = keycloak_realm.new_keys()
    try:
        with running_keycloak(keycloak_realm.realm_file(keys), keys) as found:
            _warm(found)
            yield found
    except Missing as reason:
        pytest.skip(str(reason))


def _warm(keycloak: Keycloak) -> None:
    """Have a first token made, which loads much of Keycloak: no login is to wait for that."""
    form = {
        "grant_type": "client_credentials",
        "client_id": "crane-ci",
        "client_secret": keycloak_realm.SECRET,
    }
    httpx2.post(keycloak.token_url, data=form, trust_env=False, timeout=60).raise_for_status()


@dataclass
class Firm:
    """A Crane server whose users log in at Keycloak, and one of them."""

    keycloak: Keycloak
    url: str
    server: CraneServer
    user: User

    def register(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Register the index by its URL alone."""
        return self.user.crane(
            "index", "register", self.url, "--name", "firm", "--yes", "--fallback", "none",
            *options, check=True,
        )  # fmt: skip

    def log_in(self, *arguments: str, **visiting: Any) -> tuple[Ended, str]:
        """Log in through Keycloak's pages; return how crane ended and the last page."""
        with logging_in(self.user, *arguments) as login:
            page = visit(login.url, **visiting)
            return login.end(), page

    def download(self, into: Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """Download the private package."""
        return self.user.crane(
            "pip", "download", "firm-lib", "--no-deps", "-d", str(into), **environ
        )

    @property
    def tokens(self) -> dict[str, Any]:
        """What crane has stored."""
        (file,) = self.user.sessions.glob("*.json")
        found: dict[str, Any] = json.loads(file.read_text())["tokens"]
        return found

    def age(self, **changed: Any) -> None:
        """Make the stored access token one that has to be refreshed."""
        (file,) = self.user.sessions.glob("*.json")
        record = json.loads(file.read_text())
        record["tokens"] |= {"expires_at": record["tokens"]["issued_at"], **changed}
        file.write_text(json.dumps(record))

    def refresh_by_hand(self, token: str) -> httpx2.Response:
        """Ask Keycloak what a refresh token is still worth."""
        form = {"grant_type": "refresh_token", "client_id": "crane-pip", "refresh_token": token}
        return httpx2.post(self.keycloak.token_url, data=form, trust_env=False)


@pytest.fixture
def firm(keycloak: Keycloak, user: User, tmp_path: Path) -> Iterator[Firm]:
    """Give a Crane server with one package, which members of `everyone` may read."""
    make_wheel(tmp_path / "files" / "firm-lib", "firm-lib", "1.0")
    repository = Repository("python", tmp_path / "files", read_groups=frozenset({"everyone"}))
    server = CraneServer([repository], keys=keycloak.jwks_url, issuer=keycloak.issuer)
    with serve_in_thread(server) as url:
        yield Firm(keycloak, f"{url}/python", server, user)


def test_the_issuer_is_found(firm: Firm) -> None:
    """The Crane server names the realm, and Keycloak's metadata say the same."""
    assert firm.keycloak.issuer in firm.register().stderr


def test_the_device_flow(firm: Firm, tmp_path: Path) -> None:
    """Code, sign-in and consent on Keycloak's pages; then a package with that token."""
    firm.register()
    ended, page = firm.log_in("--grant", "device")
    assert (ended.code, ended.out) == (0, "logged in to firm as ada\n"), (
        ended.err + firm.keycloak.said
    )
    assert "Device Login Successful" in page
    assert firm.download(tmp_path / "out").returncode == 0
    assert firm.server.requests[-1].authorized_user == "ada"


def test_the_device_flow_denied(firm: Firm) -> None:
    """*No* on the consent page is exit code 11."""
    firm.register()
    ended, _ = firm.log_in("--grant", "device", agrees=False)
    assert ended.code == 11


def test_the_browser(firm: Firm, tmp_path: Path) -> None:
    """Authorization code with PKCE, which the client demands; `iss` comes back and is right."""
    firm.register()
    ended, page = firm.log_in()
    assert (ended.code, ended.out) == (0, "logged in to firm as ada\n"), ended.err
    assert "You are logged in" in page
    assert firm.download(tmp_path / "out").returncode == 0


@pytest.mark.parametrize("host", ["localhost", "[::1]"])
def test_the_browser_with_another_redirect(firm: Firm, host: str) -> None:
    """The other loopback names, with a path of their own; Keycloak lets the port be any."""
    firm.register("--redirect-uri", f"http://{host}/crane/back")
    ended, page = firm.log_in()
    assert ended.code == 0, ended.err
    assert "You are logged in" in page


def test_the_browser_denied(firm: Firm) -> None:
    """Where the client asks for consent: *No* comes back as `access_denied`."""
    firm.register("--client-id", "crane-asks")
    ended, page = firm.log_in(agrees=False)
    assert ended.code == 11
    assert "The login failed" in page


def test_refresh_and_rotation(firm: Firm) -> None:
    """Each refresh brings a new refresh token; the one before is worth nothing."""
    firm.register("--scope", "openid")
    firm.log_in()
    first = firm.tokens
    assert first["refresh_expires_at"] > first["issued_at"] + 60
    firm.age()
    firm.user.crane("token", check=True)
    second = firm.tokens
    assert second["refresh_token"] != first["refresh_token"]
    assert firm.refresh_by_hand(first["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_refresh_token_used_twice(firm: Firm) -> None:
    """Keycloak's reuse detection ends in one line and exit code 4, then a login helps."""
    firm.register("--scope", "openid")
    firm.log_in()
    before = firm.tokens["refresh_token"]
    firm.age()
    firm.user.crane("token", check=True)
    firm.age(refresh_token=before)
    done = firm.user.crane("token")
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert firm.log_in()[0].code == 0


def test_an_offline_token_has_no_end(firm: Firm) -> None:
    """Keycloak says `refresh_expires_in: 0` for it, which is no life of no seconds."""
    firm.register()
    firm.log_in()
    assert "offline_access" in firm.tokens["scope"]
    assert firm.tokens["refresh_expires_at"] is None
    firm.age()
    assert firm.user.crane("token", check=True).stdout.count(".") == 2


def test_logout_revokes(firm: Firm) -> None:
    """After it the refresh token is dead at Keycloak too, not only gone from this machine."""
    firm.register()
    firm.log_in()
    token = firm.tokens["refresh_token"]
    assert firm.user.crane("logout", check=True).stderr == ""
    assert firm.refresh_by_hand(token).status_code == 400


def test_a_client_as_keycloak_makes_it(firm: Firm, tmp_path: Path) -> None:
    """Device flow off and no groups in the token: both usual traps are said, not fallen into."""
    firm.register("--client-id", "crane-as-made")
    done = firm.user.crane("login", "--grant", "device", BROWSER="true %s")
    assert done.returncode == 13
    assert "device" in done.stderr
    assert firm.log_in()[0].code == 0
    done = firm.download(tmp_path / "out")
    assert done.returncode != 0
    assert "may mean 'no access'" in done.stderr


def test_a_user_without_the_group(firm: Firm, tmp_path: Path) -> None:
    """Logged in, and the Crane server hides the package: no fallback, no file."""
    firm.register()
    assert firm.log_in(user="eve")[0].out == "logged in to firm as eve\n"
    assert firm.download(tmp_path / "out").returncode != 0


@pytest.mark.parametrize("how", ["basic", "post"])
def test_client_credentials(firm: Firm, how: str) -> None:
    """A service account with a secret full of odd characters."""
    firm.register("--client-id", "crane-ci", "--client-auth", how)
    right = {"CI": "true", "CRANE_CLIENT_SECRET_FIRM": keycloak_realm.SECRET}
    done = firm.user.crane("login", **right)
    assert done.stdout == "logged in to firm as service-account-crane-ci\n", done.stderr
    wrong = firm.user.crane("login", "--force", CI="true", CRANE_CLIENT_SECRET_FIRM="wrong")
    assert wrong.returncode == 13


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_private_key_jwt(firm: Firm, tmp_path: Path, algorithm: str) -> None:
    """Login and revocation by an assertion, signed with each kind of key."""
    (tmp_path / "key.pem").write_bytes(firm.keycloak.keys[algorithm].as_pem(private=True))
    client = f"crane-ci-{algorithm.lower()}"
    firm.register("--client-id", client, "--client-key-file", str(tmp_path / "key.pem"))
    done = firm.user.crane("login", CI="true")
    assert done.stdout == f"logged in to firm as service-account-{client}\n", done.stderr
    assert firm.user.crane("logout", CI="true", check=True).stderr == ""


def test_the_waiting_process_shows_keycloaks_own_address(firm: Firm) -> None:
    """The complete address, with the code in it, on the realm's own host."""
    firm.register()
    with logging_in(firm.user, "--grant", "device") as login:
        assert isinstance(login, Waiting)
        assert login.url.startswith(f"{firm.keycloak.issuer}/device?user_code=")
