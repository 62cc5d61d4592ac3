"""Refreshing, revoking, client credentials and metadata."""

from __future__ import annotations

import httpx2
import pytest

from crane_devserver import Client, IdentityProvider, ProviderSettings, serve_in_thread

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def site(shared):
    return shared


def sign_in(site, scope="openid offline_access"):
    data = {"client_id": "crane-pip", "scope": scope}
    device = site.http.post(site.url + "/idp/device_authorization", data=data).json()
    site.server.provider.approve(device["user_code"], user="ada")
    return site.token(grant_type=DEVICE, device_code=device["device_code"]).json()


def refresh(site, token, **more):
    return site.token(grant_type="refresh_token", refresh_token=token, **more)


def test_rotation(site):
    first = sign_in(site)
    second = refresh(site, first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert second["scope"] == "openid offline_access"
    assert refresh(site, second["refresh_token"]).status_code == 200


def test_reuse_ends_the_whole_grant(site):
    first = sign_in(site)
    other = sign_in(site)
    second = refresh(site, first["refresh_token"]).json()
    assert refresh(site, first["refresh_token"]).json()["error"] == "invalid_grant"
    assert refresh(site, second["refresh_token"]).json()["error"] == "invalid_grant"
    assert refresh(site, other["refresh_token"]).status_code == 200


def test_no_rotation(start):
    site = start(settings=ProviderSettings(rotate=False))
    token = sign_in(site)["refresh_token"]
    for _ in range(3):
        answer = refresh(site, token)
        assert answer.status_code == 200
        assert "refresh_token" not in answer.json()


def test_no_refresh_tokens(start):
    site = start(settings=ProviderSettings(refresh_tokens=False))
    assert {"refresh_token", "refresh_expires_in"}.isdisjoint(sign_in(site))


def test_refresh_tokens_expire_with_rotation_starting_anew(site):
    first = sign_in(site)
    site.clock.advance(1700)
    second = refresh(site, first["refresh_token"]).json()
    site.clock.advance(1700)
    third = refresh(site, second["refresh_token"]).json()
    site.clock.advance(1801)
    assert refresh(site, third["refresh_token"]).json()["error"] == "invalid_grant"


def test_refresh_tokens_without_end(start):
    site = start(settings=ProviderSettings(refresh_lifetime=None))
    first = sign_in(site)
    assert first["refresh_expires_in"] == 0
    site.clock.advance(10**8)
    assert refresh(site, first["refresh_token"]).status_code == 200


def test_scope_can_shrink_but_not_grow(site):
    first = sign_in(site, "openid profile")
    second = refresh(site, first["refresh_token"], scope="openid").json()
    assert second["scope"] == "openid"
    wider = refresh(site, second["refresh_token"], scope="openid groups").json()
    assert wider["error"] == "invalid_scope"
    # A narrower access token does not narrow the grant (RFC 6749, section 6).
    again = refresh(site, second["refresh_token"], scope="openid profile")
    assert again.status_code == 200


def test_revocation(site):
    token = sign_in(site)["refresh_token"]
    url = site.url + "/idp/revoke"
    form = {"client_id": "crane-pip", "token": token, "token_type_hint": "refresh_token"}
    assert site.http.post(url, data=form).status_code == 200
    assert site.http.post(url, data=form | {"token": "unknown"}).status_code == 200
    assert refresh(site, token).json()["error"] == "invalid_grant"


def test_only_the_owner_revokes(site):
    token = sign_in(site)["refresh_token"]
    form = {"token": token, "client_id": "crane-ci", "client_secret": "s3:cr%t"}
    assert site.http.post(site.url + "/idp/revoke", data=form).json()["error"] == "invalid_grant"
    assert refresh(site, token).status_code == 200


def test_an_administrator_ends_grants(site):
    token = sign_in(site)["refresh_token"]
    site.server.provider.revoke_grants("ben")
    token = refresh(site, token).json()["refresh_token"]
    site.server.provider.revoke_grants("ada")
    assert refresh(site, token).json()["error"] == "invalid_grant"


def test_access_tokens_expire_at_the_index(start):
    site = start(settings=ProviderSettings(access_lifetime=2))
    header = {"Authorization": f"Bearer {sign_in(site)['access_token']}"}
    assert site.get("/private/", **header).status_code == 200
    site.clock.advance(2 + 61)
    assert site.get("/private/", **header).status_code == 401


@pytest.mark.parametrize("way", ["basic", "post"])
def test_client_credentials(shared, way):
    url, grant = shared.url + "/idp/token", {"grant_type": "client_credentials"}
    if way == "basic":
        # Both halves are form-urlencoded before they are put together (RFC 6749, 2.3.1).
        response = shared.http.post(url, data=grant, auth=("crane-ci", "s3%3Acr%25t"))
    else:
        secret = {"client_id": "crane-ci", "client_secret": "s3:cr%t"}
        response = shared.http.post(url, data=grant | secret)
    token = response.json()
    assert "refresh_token" not in token
    header = {"Authorization": f"Bearer {token['access_token']}"}
    assert shared.get("/private/", **header).status_code == 200
    assert shared.server.requests[-1].authorized_user == "service-account-crane-ci"


def test_client_credentials_need_the_secret(shared):
    grant = {"grant_type": "client_credentials"}
    wrong = {"client_id": "crane-ci", "client_secret": "x"}
    response = shared.http.post(shared.url + "/idp/token", data=grant | wrong)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert shared.token(**grant).json()["error"] == "invalid_client"


def test_unknown_grant(shared):
    assert shared.token(grant_type="password").json()["error"] == "unsupported_grant_type"
    assert shared.token().json()["error"] == "unsupported_grant_type"


@pytest.mark.parametrize(
    "path",
    [
        "/idp/.well-known/openid-configuration",
        "/idp/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration/idp",
        "/.well-known/oauth-authorization-server/idp",
    ],
)
def test_metadata(shared, path):
    document = shared.http.get(shared.url + path).json()
    issuer = shared.url + "/idp"
    assert document["issuer"] == issuer
    assert document["code_challenge_methods_supported"] == ["S256"]
    endpoints = [value for name, value in document.items() if name.endswith("_endpoint")]
    assert len(endpoints) == 4
    assert all(endpoint.startswith(issuer + "/") for endpoint in endpoints)


def test_only_public_keys_are_published(shared):
    (key,) = shared.http.get(shared.url + "/idp/jwks").json()["keys"]
    assert {"kty": "RSA", "use": "sig", "alg": "RS256"}.items() <= key.items()
    assert {"d", "p", "q"}.isdisjoint(key)


def test_a_provider_alone_at_the_root():
    provider = IdentityProvider({"ada": ("x", ())}, clients=[Client("c")])
    with pytest.raises(RuntimeError, match="issuer"):
        provider.issue_token("ada", client_id="c")
    with serve_in_thread(provider) as url:
        paths = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")
        for path in paths:
            assert httpx2.get(url + path, trust_env=False).json()["issuer"] == url


def test_a_fixed_issuer_stays():
    provider = IdentityProvider({}, issuer="https://login.example")
    provider.served_at("http://127.0.0.1:1")
    assert provider.issuer == "https://login.example"
