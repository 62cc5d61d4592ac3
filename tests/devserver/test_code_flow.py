"""Authorization code with PKCE on a loopback redirect (RFC 6749, 7636, 8252, 9207)."""

from __future__ import annotations

import base64
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from joserfc import jwt

from crane_devserver import ScriptedBrowser

VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode()
REDIRECT = "http://127.0.0.1:45678/callback"


@pytest.fixture
def site(shared):
    return shared


def authorize_url(site, **changes):
    query = {
        "response_type": "code",
        "client_id": "crane-pip",
        "redirect_uri": REDIRECT,
        "scope": "openid offline_access",
        "state": "s1",
        "nonce": "n1",
        "code_challenge": CHALLENGE.rstrip("="),
        "code_challenge_method": "S256",
    } | changes
    kept = {name: value for name, value in query.items() if value is not None}
    return f"{site.url}/idp/authorize?{urlencode(kept)}"


def decide(site, url, **form):
    """Fill in the page without following the redirect at the end."""
    import re

    page = site.http.get(url)
    assert page.status_code == 200, page.text
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
    login = {"username": "ada", "password": "lovelace", "decision": "approve", "csrf": csrf}
    return site.http.post(url, data=login | form)


def answer(response):
    assert response.status_code == 302, response.text
    return dict(parse_qsl(urlsplit(response.headers["location"]).query))


def redeem(site, code, **changes):
    form = {"grant_type": "authorization_code", "code": code}
    form |= {"redirect_uri": REDIRECT, "code_verifier": VERIFIER}
    return site.token(**(form | changes))


def test_the_whole_way(site):
    sent = answer(decide(site, authorize_url(site)))
    assert (sent["state"], sent["iss"]) == ("s1", site.url + "/idp")
    token = redeem(site, sent["code"]).json()
    assert token["scope"] == "openid offline_access"
    header = {"Authorization": f"Bearer {token['access_token']}"}
    assert site.get("/private/", **header).status_code == 200


def test_claims(site):
    token = redeem(site, answer(decide(site, authorize_url(site)))["code"]).json()
    keys = site.server.provider._signer.key_set
    access = jwt.decode(token["access_token"], keys)
    assert access.header["typ"] == "JWT"
    assert access.header["alg"] == "RS256"
    expected = {"iss": site.url + "/idp", "sub": "ada", "aud": "crane"}
    expected |= {"preferred_username": "ada", "groups": ["readers", "secret", "writers"]}
    assert expected.items() <= access.claims.items()
    assert access.claims["exp"] - access.claims["iat"] == 300
    identity = jwt.decode(token["id_token"], keys).claims
    assert (identity["aud"], identity["nonce"]) == ("crane-pip", "n1")


def test_a_real_loopback_listener(site):
    got = {}
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            got.update(parse_qs(urlsplit(self.path).query))
            self.send_response(200)
            self.end_headers()
            done.set()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.handle_request)
        thread.start()
        redirect = f"http://127.0.0.1:{listener.server_port}/any/path"
        assert ScriptedBrowser("ada", "lovelace").open(authorize_url(site, redirect_uri=redirect))
        assert done.wait(10)
        thread.join()
    assert redeem(site, got["code"][0], redirect_uri=redirect).status_code == 200


def test_denied(site):
    sent = answer(decide(site, authorize_url(site), decision="deny"))
    assert sent["error"] == "access_denied"
    assert (sent["state"], sent["iss"]) == ("s1", site.url + "/idp")


def test_wrong_password_and_foreign_form(site):
    assert decide(site, authorize_url(site), password="x").status_code == 401
    assert decide(site, authorize_url(site), csrf="x").status_code == 403


def test_a_code_is_good_once_and_not_for_long(site):
    code = answer(decide(site, authorize_url(site)))["code"]
    assert redeem(site, code).status_code == 200
    assert redeem(site, code).json()["error"] == "invalid_grant"
    late = answer(decide(site, authorize_url(site)))["code"]
    site.clock.advance(61)
    assert redeem(site, late).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "w" * 50}, "invalid_grant"),
        ({"redirect_uri": REDIRECT + "2"}, "invalid_grant"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"code_verifier": ""}, "invalid_request"),
    ],
)
def test_what_must_match(site, changes, error):
    code = answer(decide(site, authorize_url(site)))["code"]
    assert redeem(site, code, **changes).json()["error"] == error


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
    ],
)
def test_pkce_with_s256_is_required(shared, changes):
    sent = answer(shared.http.get(authorize_url(shared, **changes)))
    assert sent["error"] == "invalid_request"
    assert sent["iss"] == shared.url + "/idp"


@pytest.mark.parametrize(
    "redirect",
    ["http://127.0.0.1:1/cb", "http://[::1]:2/cb", "http://localhost:3/cb", "http://127.0.0.1/"],
)
def test_loopback_redirects_with_any_port(shared, redirect):
    assert shared.http.get(authorize_url(shared, redirect_uri=redirect)).status_code == 200


@pytest.mark.parametrize(
    "redirect",
    [
        "https://evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.1@evil.example/cb",
        "http://evil.example@127.0.0.1/cb",
        "https://127.0.0.1/cb",
        "nonsense",
        'http://evil.example/"é',
    ],
)
def test_other_redirects_are_refused_without_redirecting(shared, redirect):
    response = shared.http.get(authorize_url(shared, redirect_uri=redirect))
    assert (response.status_code, "Invalid request" in response.text) == (400, True)


@pytest.mark.parametrize(
    "changes", [{"client_id": "nobody"}, {"redirect_uri": None}, {"client_id": None}]
)
def test_unusable_requests_stay_here(shared, changes):
    assert shared.http.get(authorize_url(shared, **changes)).status_code == 400


def test_unknown_response_type_and_scope_go_back(shared):
    sent = answer(shared.http.get(authorize_url(shared, response_type="token")))
    assert sent["error"] == "unsupported_response_type"
    sent = answer(shared.http.get(authorize_url(shared, scope="everything")))
    assert (sent["error"], sent["state"]) == ("invalid_scope", "s1")


def test_signing_in_at_the_index_itself_ends_on_a_page(site):
    first = site.get("/private/", accept="text/html")
    browser = ScriptedBrowser("ada", "lovelace")
    assert "no browser sessions" in browser.visit(first.headers["location"])
