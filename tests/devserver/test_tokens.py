"""Which tokens are taken: as little is checked as on the real server."""

from __future__ import annotations

import time

import httpx2
import pytest

from crane_devserver import CraneServer, IdentityProvider, Repository, serve_in_thread

USERS = {"ada": ("x", ())}


@pytest.fixture(scope="module")
def status(shared):
    def of(typ="JWT", **claims):
        claims = {"preferred_username": "ada", "groups": ["readers"]} | claims
        token = shared.server.provider.sign(claims, typ=typ)
        return shared.get("/private/", Authorization=f"Bearer {token}").status_code

    return of


def test_expiry_has_a_minute_of_leeway(status):
    now = time.time()
    assert status(exp=now + 10) == 200
    assert status(exp=now - 50) == 200
    assert status(exp=now - 70) == 401


def test_not_before_has_a_minute_of_leeway(status):
    now = time.time()
    assert status(nbf=now + 50) == 200
    assert status(nbf=now + 70) == 401


def test_issuer_audience_and_scope_are_not_checked(status):
    assert status(iss="https://elsewhere.example", aud="other", scope="none") == 200


def test_rfc_9068_tokens_are_refused(status):
    assert status(typ="JWT") == 200
    assert status(typ="at+jwt") == 401


@pytest.mark.parametrize("claims", [{"exp": "soon"}, {"exp": True}, {"preferred_username": 7}])
def test_nonsense_claims_are_refused(status, claims):
    assert status(**claims) == 401


def test_group_paths_count_as_groups(status):
    assert status(groups=["/readers"]) == 200
    assert status(groups="readers") == 404


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a b",
        "W10.e30.x",
        "bnVsbA.e30.x",
        "1.2.3.4.5",
        "a.b.c",
        "e30.e30.",
        "eyJhbGciOiJub25lIn0.e30.",
    ],
)
def test_malformed_tokens_are_refused(shared, token):
    assert shared.get("/private/", Authorization=f"Bearer {token}").status_code == 401


def test_tokens_of_a_stranger_are_refused(shared):
    stranger = IdentityProvider(USERS, issuer="https://stranger.example")
    token = stranger.issue_token("ada")
    assert shared.get("/private/", Authorization=f"Bearer {token}").status_code == 401


def test_keys_are_fetched_once_and_again_for_a_new_key(tmp_path):
    provider = IdentityProvider(USERS)
    with serve_in_thread(provider) as issuer:
        crane = CraneServer([Repository("r", tmp_path)], keys=issuer + "/jwks", issuer=issuer)
        with serve_in_thread(crane) as url, httpx2.Client(trust_env=False) as http:

            def status():
                header = {"Authorization": f"Bearer {provider.issue_token('ada')}"}
                return http.get(url + "/r/", headers=header).status_code

            assert [status(), status()] == [200, 200]
            assert len(provider.requests.to("/jwks")) == 1
            provider.rotate_key()
            assert status() == 200
            assert len(provider.requests.to("/jwks")) == 2


def test_unreachable_keys_are_a_server_error(tmp_path):
    provider = IdentityProvider(USERS, issuer="https://idp.example")
    crane = CraneServer([Repository("r", tmp_path)], keys="http://127.0.0.1:1/jwks")
    with serve_in_thread(crane) as url:
        header = {"Authorization": f"Bearer {provider.issue_token('ada')}"}
        assert httpx2.get(url + "/r/", headers=header, trust_env=False).status_code == 500


def test_keys_may_be_a_document(tmp_path, shared):
    document = shared.http.get(shared.url + "/idp/jwks").json()
    crane = CraneServer([Repository("r", tmp_path)], keys=document)
    with serve_in_thread(crane) as url:
        found = httpx2.get(url + "/r/", headers=shared.auth("ada"), trust_env=False)
        assert found.status_code == 200
