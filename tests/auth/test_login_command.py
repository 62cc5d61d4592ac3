"""`crane login`, `crane token` and `crane logout` as a user sees them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx2
import pytest
from auth.kit import URL
from auth.processes import cranes, until_said
from idp.oidc import Idp, Options, Realm
from support.world import User, World, make_world


def register_by_hand(user: User, realm: Realm, **changes: str) -> None:
    """Register an index with the four-argument form."""
    urls = {"token": realm.token_url, "device": realm.device_url} | changes
    user.crane("index", "register", URL, "crane-pip", urls["token"], urls["device"], check=True)


def register_at(user: User, realm: Realm) -> None:
    """Register an index whose users log in at this realm, by the device flow."""
    user.issuer = realm.issuer
    user.crane("index", "register", URL, "--issuer", realm.issuer, "--grant", "device", check=True)


def test_the_person_sees_index_address_code_and_the_warning(registered: User, realm: Realm) -> None:
    """RFC 8628 §3.3 and §5.4; stdout stays for the result."""
    done = registered.crane("login")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "logged in to python as ada\n"
    asked = realm.requests("device_authorization")
    assert len(asked) == 1
    assert f"{realm.issuer}/device?user_code=" in done.stderr
    assert "check or enter the code" in done.stderr
    assert "Continue only if you started this login yourself" in done.stderr


def test_a_second_login_is_none(logged_in: User, realm: Realm) -> None:
    """Without `--force` nobody is asked again."""
    done = logged_in.crane("login", "--json", check=True)
    assert json.loads(done.stdout)["data"] == {"index": "python", "account": "ada", "new": False}
    assert len(realm.requests("device_authorization")) == 1
    assert "logged in" in logged_in.crane("login", "--force", check=True).stdout
    assert len(realm.requests("device_authorization")) == 2


def test_a_person_who_says_no(registered: User) -> None:
    """Exit code 11, one line after what was shown, nothing stored."""
    done = registered.crane("login", TEST_DECISION="deny")
    assert done.returncode == 11
    assert done.stderr.splitlines()[-1].startswith("crane: the login was denied")
    assert "Traceback" not in done.stderr
    assert not list(registered.sessions.glob("*.json"))


def test_a_person_who_does_not_come(registered: User, realm: Realm) -> None:
    """Exit code 12 once the code has expired."""
    realm.configure(Options(device_code_seconds=1))
    done = registered.crane("login", BROWSER="true %s")
    assert done.returncode == 12
    assert "run: crane login" in done.stderr.splitlines()[-1]


def test_nobody_is_asked_in_ci(registered: User, realm: Realm) -> None:
    """Exit code 4 within five seconds, with what to run, and no request to the provider."""
    realm.clear_requests()
    began = time.monotonic()
    done = registered.crane("login", CI="true")
    assert time.monotonic() - began < 5
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "crane login python" in done.stderr
    assert realm.requests() == []


@pytest.mark.parametrize("value", ["0", "False"])
def test_ci_may_be_said_not_to_be(registered: User, value: str) -> None:
    """`CI=false` is what some shells export."""
    registered.crane("login", CI=value, check=True)


def test_nobody_is_asked_without_terminal_and_browser(registered: User) -> None:
    """As in a cron job: exit code 4 at once."""
    done = registered.crane("login", BROWSER="")
    assert done.returncode == 4


def test_json_on_stdout_is_whole_in_an_error(registered: User) -> None:
    """The envelope has code, message and hint; the line is on stderr as well."""
    done = registered.crane("login", "--json", CI="1")
    envelope = json.loads(done.stdout)
    assert (envelope["status"], envelope["exit_code"]) == ("error", 4)
    assert envelope["errors"][0]["code"] == "login-needed"
    hint = envelope["errors"][0]["hint"]
    assert hint == "run: crane login python at a terminal, or set CRANE_TOKEN_PYTHON"


def test_a_provider_without_the_device_flow(user: User, idp: Idp) -> None:
    """Said at registration, and exit code 13 where nothing else is wanted."""
    realm = idp["nodevice"]
    noted = user.crane("index", "register", URL, "--issuer", realm.issuer, check=True)
    assert "does not offer the device flow" in noted.stderr
    done = user.crane("login", "--grant", "device")
    assert done.returncode == 13
    assert done.stderr.count("\n") == 1


def test_a_provider_that_sends_as_little_as_it_may(user: User, idp: Idp) -> None:
    """The address is shown without the code, which the person types."""
    realm = idp["bare"]
    realm.configure(Options(interval=1))
    register_at(user, realm)
    with cranes(user, 1, "login", BROWSER="true %s") as (crane,):
        until_said([crane], "Waiting for you", 1)
        assert f"\n    {realm.issuer}/device\n" in crane.stderr
        (code,) = realm.pending_codes()
        assert f"check or enter the code  {code[:4]}-{code[4:]}" in crane.stderr
        realm.approve_device(code)
        assert crane.wait() == 0


def test_a_wrong_token_url_of_the_four_argument_form(user: User, realm: Realm) -> None:
    """Exit code 16 names the URL and how to mend it."""
    register_by_hand(user, realm, token=f"{realm.issuer}/tokn")
    done = user.crane("login")
    assert done.returncode == 16
    assert f"{realm.issuer}/tokn" in done.stderr.splitlines()[-1]
    assert "register the index again" in done.stderr.splitlines()[-1]


def test_an_unknown_client(registered: User) -> None:
    """Exit code 13, and the option to check."""
    registered.crane("index", "set", "python", "--client-id", "nobody", check=True)
    done = registered.crane("login")
    assert done.returncode == 13
    assert "--client-id" in done.stderr


def test_a_malicious_address_is_not_opened(registered: User, realm: Realm, tmp_path: Path) -> None:
    """The browser is not started, whatever the provider answers."""
    trace = tmp_path / "opened"
    realm.patch(
        {"verification_uri_complete": "file:///etc/passwd"}, endpoint="device_authorization"
    )
    done = registered.crane("login", BROWSER=f"touch {trace} %s")
    assert done.returncode in {6, 7}
    assert not trace.exists()
    assert "To log in" not in done.stderr


def test_escapes_in_an_error_do_not_reach_the_terminal(registered: User, realm: Realm) -> None:
    """One printable line, whatever the provider writes."""
    body = {"error": "invalid_scope", "error_description": "\x1b[2J\x07\u202eno\r\nway"}
    realm.respond(400, body, endpoint="device_authorization")
    done = registered.crane("login")
    assert done.returncode == 13
    assert done.stderr.rstrip("\n").isprintable()


def test_a_provider_with_another_clock(registered: User, realm: Realm) -> None:
    """An hour off: a line says so, the login works, and the token is used."""
    token = {"access_token": "t", "token_type": "Bearer", "expires_in": 300}
    realm.respond(200, token, headers={"date": "Mon, 24 Nov 2025 12:00:00 GMT"})
    done = registered.crane("login")
    assert done.returncode == 0, done.stderr
    assert "this machine's clock is" in done.stderr
    assert registered.crane("token", check=True).stdout == "t\n"


def test_a_token_for_scripts(logged_in: User, world: World) -> None:
    """`crane token` prints the token and nothing else; the index accepts it."""
    done = logged_in.crane("token", check=True)
    assert done.stderr == ""
    headers = {"authorization": f"Bearer {done.stdout.strip()}", "accept": "text/html"}
    assert httpx2.get(f"{world.index_url}/", headers=headers, trust_env=False).status_code == 200


def test_no_token_where_nobody_is_logged_in(registered: User, realm: Realm) -> None:
    """`crane token` never opens a browser: exit code 4 and an empty stdout."""
    done = registered.crane("token")
    assert (done.returncode, done.stdout) == (4, "")
    assert realm.requests("device_authorization") == []


def test_no_command_prints_a_token_but_token(logged_in: User) -> None:
    """Neither status nor a list, also as JSON and in debug mode."""
    token = logged_in.crane("token", check=True).stdout.strip()
    for command in (["status"], ["index", "list"], ["index", "show", "python"], ["login"]):
        done = logged_in.crane("--debug", *command, "--json")
        assert token not in done.stdout + done.stderr


# --- logout ------------------------------------------------------------------------------------


def test_logout_revokes_and_deletes(logged_in: User, realm: Realm) -> None:
    """The provider refuses the refresh token afterwards, and nothing is left here."""
    (file,) = logged_in.sessions.glob("*.json")
    refresh_token = json.loads(file.read_text())["tokens"]["refresh_token"]
    done = logged_in.crane("logout", check=True)
    assert done.stdout == "logged out of python\n"
    assert not file.exists()
    first = realm.requests("revocation")[0]
    assert first.params == {
        "token": refresh_token,
        "token_type_hint": "refresh_token",
        "client_id": "crane-pip",
    }
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": "crane-pip"}
    answer = httpx2.post(realm.token_url, data=form, trust_env=False)
    assert answer.json()["error"] == "invalid_grant"
    assert logged_in.crane("token").returncode == 4


@pytest.mark.parametrize("how", ["drop_request", "failing"])
def test_logout_while_the_provider_is_down(logged_in: User, realm: Realm, how: str) -> None:
    """The tokens are deleted here, and the user learns that they may live on there."""
    if how == "failing":
        realm.respond(503, "", endpoint="revocation", times=None)
    else:
        realm.quirk("drop_request", endpoint="revocation", times=None)
    done = logged_in.crane("logout")
    assert done.returncode == 0
    assert "not revoked at the provider" in done.stdout
    assert not list(logged_in.sessions.glob("*.json"))


def test_logout_of_endpoints_given_by_hand(user: User, realm: Realm) -> None:
    """No revocation endpoint is known there, which is said."""
    register_by_hand(user, realm)
    user.crane("login", check=True)
    assert "offers no revocation" in user.crane("logout", check=True).stdout
    assert not list(user.sessions.glob("*.json"))


def test_logout_where_nobody_is_logged_in(registered: User, realm: Realm) -> None:
    """No error and no request."""
    done = registered.crane("logout", "--json", check=True)
    assert json.loads(done.stdout)["data"] == [{"index": "python", "revocation_problem": None}]
    assert realm.requests("revocation") == []


def test_logout_of_all(logged_in: User, realm: Realm, tmp_path: Path) -> None:
    """`--all` ends the logins of every index."""
    with make_world(tmp_path / "other", realm) as other:
        logged_in.crane("index", "register", f"{other.crane_url}/python", "--yes", "--name", "b",
                        check=True)  # fmt: skip
        logged_in.crane("login", "b", check=True)
        assert len(list(logged_in.sessions.glob("*.json"))) == 2
        done = logged_in.crane("logout", "--all", check=True)
        assert done.stdout.splitlines() == ["logged out of python", "logged out of b"]
    assert not list(logged_in.sessions.glob("*.json"))
