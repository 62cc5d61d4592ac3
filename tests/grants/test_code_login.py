"""`crane login` in the browser, with a real provider (RFC 6749 §4.1, 7636, 8252, 9207)."""

from __future__ import annotations

import base64
import hashlib
import json
from urllib.parse import urlsplit

import pytest
from grants.kit import index_at, logging_in, redirect_of, register
from idp.oidc import Idp, Realm, approve_authorization
from support.world import User

from crane_core.auth.model import session_key
from crane_core.auth.sessions import SessionStore
from crane_core.auth.vault import FileVault


def sessions(user: User) -> list[object]:
    """Return what crane has stored about logins."""
    return list(user.sessions.glob("*.json"))


def test_a_login_in_the_browser(person: User, realm: Realm) -> None:
    """The browser approves; crane has the tokens and says who is logged in."""
    done = person.crane("login")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "logged in to firm as ada\n"
    assert [r.status for r in realm.requests("token")] == [200]
    assert realm.requests("device_authorization") == []
    store = SessionStore(person.sessions, FileVault(person.sessions))
    session = store.read(session_key(index_at(realm)))
    assert session is not None
    assert session.tokens.refresh_token is not None
    assert session.provider.revocation_endpoint is not None


def test_the_request_is_what_the_standards_want(person: User, realm: Realm) -> None:
    """PKCE with S256, a state of 128 bits or more, a port of a loopback address (RFC 8252 §7.3)."""
    seen = []
    for _ in range(2):
        with logging_in(person, "--force") as login:
            approve_authorization(login.url)
            assert login.end().code == 0
            seen.append(login.parameters)
    for sent in seen:
        assert sent["response_type"] == "code"
        assert sent["code_challenge_method"] == "S256"
        assert len(base64.urlsafe_b64decode(sent["state"] + "==")) >= 16
        assert urlsplit(sent["redirect_uri"]).hostname == "127.0.0.1"
        assert not {"client_secret", "code_verifier"} & set(sent)
    for name in ("state", "code_challenge", "redirect_uri", "nonce"):
        assert len({sent[name] for sent in seen}) == 2, f"{name} is used twice"


def test_the_code_is_redeemed_with_the_verifier_of_its_challenge(
    person: User, realm: Realm
) -> None:
    """RFC 7636 §4.1 and §4.6; a public client sends its id and no secret (RFC 8252 §8.5)."""
    with logging_in(person) as login:
        approve_authorization(login.url)
        assert login.end().code == 0
    (asked,) = realm.requests("token", grant="authorization_code")
    verifier = asked.params["code_verifier"]
    assert 43 <= len(verifier) <= 128
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    assert digest.rstrip(b"=").decode() == login.parameters["code_challenge"]
    assert asked.params["redirect_uri"] == login.redirect_uri
    assert asked.auth == "none"
    assert "client_secret" not in asked.params


@pytest.mark.parametrize(
    ("scope", "prompt"), [("openid offline_access", "consent"), ("openid", None)]
)
def test_offline_access_is_asked_for_with_a_consent_page(
    user: User, realm: Realm, scope: str, prompt: str | None
) -> None:
    """OpenID Connect Core §11: without `prompt=consent` the scope is dropped in silence."""
    register(user, index_at(realm, scope=scope))
    with logging_in(user) as login:
        assert login.parameters.get("prompt") == prompt
        assert login.parameters["scope"] == scope


def test_audience_and_resource_go_along(user: User, realm: Realm) -> None:
    """RFC 8707: in the authorization request, and the resource in the token request again."""
    register(user, index_at(realm, audience="firm", resource=realm.audience))
    with logging_in(user) as login:
        assert login.parameters["audience"] == "firm"
        assert login.parameters["resource"] == realm.audience
        approve_authorization(login.url)
        assert login.end().code == 0
    (asked,) = realm.requests("token")
    assert asked.params["resource"] == realm.audience


def test_a_person_who_says_no(person: User, realm: Realm) -> None:
    """Exit code 11, one line after what was shown, nothing stored, no code redeemed."""
    done = person.crane("login", TEST_DECISION="deny")
    assert done.returncode == 11
    assert done.stderr.splitlines()[-1].startswith("crane: the login was denied")
    assert "Traceback" not in done.stderr
    assert realm.requests("token") == []
    assert not sessions(person)


def test_a_person_who_does_not_come(person: User) -> None:
    """`--timeout` ends the wait: exit code 12, and the port is free again."""
    with logging_in(person, "--timeout", "0.5") as login:
        ended = login.end()
    assert ended.code == 12
    assert "run: crane login firm" in ended.last_line


def test_a_provider_without_the_device_flow(user: User, idp: Idp) -> None:
    """Many tenants forbid it; a browser on this machine is all that is needed."""
    realm = idp["nodevice"]
    register(user, index_at(realm))
    user.issuer = realm.issuer
    assert user.crane("login", check=True).stdout == "logged in to firm as ada\n"


def test_localhost_where_the_provider_demands_it(user: User, realm: Realm) -> None:
    """Entra ID knows `http://localhost` only; the port is free all the same."""
    register(user, index_at(realm, redirect_uri="http://localhost/callback"))
    with logging_in(user) as login:
        assert urlsplit(login.redirect_uri).hostname == "localhost"
        approve_authorization(login.url)
        assert login.end().code == 0
    (asked,) = realm.requests("token")
    assert asked.params["redirect_uri"] == login.redirect_uri


def test_a_redirect_uri_without_a_path(user: User, realm: Realm) -> None:
    """`http://127.0.0.1` as registered at the provider; browsers ask for `/`."""
    register(user, index_at(realm, redirect_uri="http://127.0.0.1/"))
    with logging_in(user) as login:
        assert urlsplit(login.redirect_uri).path == "/"
        approve_authorization(login.url)
        assert login.end().code == 0


def test_a_provider_that_offers_plain_only(person: User, realm: Realm) -> None:
    """RFC 7636 §7.2: no downgrade. Nothing is opened, and the way out is named."""
    realm.patch({"code_challenge_methods_supported": ["plain"]}, endpoint="discovery", times=None)
    done = person.crane("login")
    assert done.returncode == 15
    assert done.stderr.count("\n") == 1
    assert "--grant device" in done.stderr
    assert realm.requests("authorization") == []


@pytest.mark.parametrize("methods", [None, ["plain", "S256"]])
def test_a_provider_that_may_know_s256(person: User, realm: Realm, methods: object) -> None:
    """One that names no methods gets S256 all the same (RFC 9700 §2.1.1)."""
    changes = {} if methods is None else {"code_challenge_methods_supported": methods}
    gone = ("code_challenge_methods_supported",) if methods is None else ()
    realm.patch(changes, unset=gone, endpoint="discovery", times=None)
    with logging_in(person) as login:
        assert login.parameters["code_challenge_method"] == "S256"


@pytest.mark.parametrize("issuer", ["https://evil.example", None])
def test_a_redirect_of_another_issuer_is_a_mix_up(
    person: User, realm: Realm, issuer: str | None
) -> None:
    """RFC 9207 §2.4: a wrong `iss`, or none where it is promised, and the code goes nowhere."""
    with logging_in(person) as login:
        page = login.come_back(code="stolen", **({} if issuer is None else {"iss": issuer}))
        ended = login.end()
    assert ended.code == 18
    assert "The login failed" in page.text
    assert realm.requests("token") == []
    assert not sessions(person)


def test_a_provider_that_promises_no_issuer(person: User, realm: Realm) -> None:
    """Without `authorization_response_iss_parameter_supported` a redirect may lack `iss`."""
    gone = ("authorization_response_iss_parameter_supported",)
    realm.patch(unset=gone, endpoint="discovery", times=None)
    with logging_in(person) as login:
        target = redirect_of(login.url)
        code = target.split("code=", 1)[1].split("&", 1)[0]
        assert login.come_back(code=code).status == 200
        assert login.end().code == 0


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ({"error": "access_denied"}, 11, "denied"),
        ({"error": "invalid_scope", "error_description": "no <b>such</b>"}, 13, "invalid_scope"),
        ({"error": "unauthorized_client"}, 13, "--grant device"),
        ({"error": "server_error"}, 13, "server_error"),
        ({"error": "\x1b[31mred\r\n"}, 13, "[31mred"),
        ({}, 15, "without a code"),
        ({"code": ""}, 15, "without a code"),
        ({"code": "never-issued"}, 15, "invalid_grant"),
    ],
)
def test_an_error_in_the_redirect(
    person: User, realm: Realm, answer: dict[str, str], code: int, said: str
) -> None:
    """One line on the terminal and the truth in the tab, with no text of the server's as HTML."""
    with logging_in(person) as login:
        page = login.come_back(iss=realm.issuer, **answer)
        ended = login.end()
    assert ended.code == code
    assert said in ended.last_line
    assert "\x1b" not in ended.err
    assert "Traceback" not in ended.err
    assert "The login failed" in page.text
    assert "<b>" not in page.text
    assert not sessions(person)


def test_a_token_endpoint_that_fails_shows_in_the_tab(person: User, realm: Realm) -> None:
    """The page comes after the tokens, so it never says *logged in* too early."""
    realm.respond(500, "<h1>oops</h1>", grant="authorization_code")
    with logging_in(person) as login:
        target = redirect_of(login.url)
        page = login.come_back(**dict(p.split("=", 1) for p in target.split("?")[1].split("&")[:1]))
        assert "The login failed" in page.text
        assert login.end().code in {14, 18}


def test_json_of_a_login(person: User) -> None:
    """stdout is the envelope and nothing else, though address and browser took part."""
    done = person.crane("login", "--json", check=True)
    assert json.loads(done.stdout)["data"] == {"index": "firm", "account": "ada", "new": True}


def test_a_login_waits_for_another_one_no_longer_than_it_may(person: User) -> None:
    """`--timeout` is about the whole wait, also behind another process's browser."""
    with logging_in(person):
        done = person.crane("login", "--timeout", "0.3")
    assert done.returncode == 32
    assert "another crane process" in done.stderr
