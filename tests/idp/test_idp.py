"""The identity provider keeps its word: flows, tokens and clients of each realm."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from .flows import (
    SCOPE,
    VERIFIER,
    Loopback,
    ask_device,
    authorization_url,
    basic,
    discover,
    error,
    log_in,
    poll,
    refresh,
    token,
    verified,
)
from .oidc import (
    DEVICE_GRANT,
    Idp,
    IdpError,
    Options,
    Realm,
    approve_authorization,
    deny_authorization,
)

if TYPE_CHECKING:
    import httpx2

# --- device flow ---------------------------------------------------------------------------


def test_device_flow_pending_then_approved(http: httpx2.Client, keycloak: Realm) -> None:
    device = ask_device(http, keycloak)
    assert device["interval"] == 1
    assert keycloak.pending_codes() == [device["user_code"].replace("-", "")]
    assert error(poll(http, keycloak, device["device_code"])) == "400 authorization_pending"
    keycloak.approve_device(device["user_code"], "ada")
    answer = poll(http, keycloak, device["device_code"]).json()
    assert answer["refresh_expires_in"] == 1800
    assert answer["scope"] == SCOPE
    claims = verified(http, keycloak, answer["access_token"]).claims
    assert claims["preferred_username"] == "ada"
    assert claims["groups"] == ["data-science", "everyone"]
    seen = keycloak.requests("token", grant=DEVICE_GRANT)
    assert [(r.status, r.error) for r in seen] == [(400, "authorization_pending"), (200, None)]


def test_device_flow_denied(http: httpx2.Client, keycloak: Realm) -> None:
    device = ask_device(http, keycloak)
    keycloak.deny_device(device["user_code"])
    assert error(poll(http, keycloak, device["device_code"])) == "400 access_denied"


def test_device_flow_expired(http: httpx2.Client, keycloak: Realm) -> None:
    device = ask_device(http, keycloak)
    keycloak.expire("device")
    assert error(poll(http, keycloak, device["device_code"])) == "400 expired_token"
    with pytest.raises(IdpError, match="could not be denied"):
        keycloak.deny_device(device["user_code"])


def test_device_code_redeemed_twice_ends_the_grant(http: httpx2.Client, keycloak: Realm) -> None:
    device = ask_device(http, keycloak)
    keycloak.approve_device(device["user_code"])
    tokens = poll(http, keycloak, device["device_code"]).json()
    assert error(poll(http, keycloak, device["device_code"])) == "400 invalid_grant"
    assert error(refresh(http, keycloak, tokens["refresh_token"])) == "400 invalid_grant"


def test_an_unknown_user_cannot_approve(http: httpx2.Client, keycloak: Realm) -> None:
    device = ask_device(http, keycloak)
    with pytest.raises(IdpError, match="mallory could not approve"):
        keycloak.approve_device(device["user_code"], "mallory")


def test_slow_down_for_the_first_polls(http: httpx2.Client, keycloak: Realm) -> None:
    keycloak.configure(Options(slow_down=2))
    code = ask_device(http, keycloak)["device_code"]
    errors = [error(poll(http, keycloak, code)) for _ in range(3)]
    assert errors == ["400 slow_down", "400 slow_down", "400 authorization_pending"]


def test_slow_down_for_an_early_poll(http: httpx2.Client, keycloak: Realm) -> None:
    keycloak.configure(Options(enforce_interval=True, interval=30))
    code = ask_device(http, keycloak)["device_code"]
    errors = [error(poll(http, keycloak, code)) for _ in range(2)]
    assert errors == ["400 authorization_pending", "400 slow_down"]


def test_bare_answers_leave_out_what_is_optional(http: httpx2.Client, idp: Idp) -> None:
    bare = idp["bare"]
    bare.configure(Options(send_expires_in=False))
    device = ask_device(http, bare)
    assert not {"verification_uri_complete", "interval"} & device.keys()
    bare.approve_device(device["user_code"])
    answer = poll(http, bare, device["device_code"]).json()
    assert not {"refresh_token", "expires_in"} & answer.keys()
    verified(http, bare, answer["access_token"])


def test_nodevice_offers_no_device_flow(http: httpx2.Client, idp: Idp) -> None:
    realm = idp["nodevice"]
    found = discover(http, realm)
    assert "device_authorization_endpoint" not in found
    assert DEVICE_GRANT not in found["grant_types_supported"]
    assert http.post(realm.device_url, data={"client_id": "crane-pip"}).status_code == 404


# --- tokens ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("user", "groups"), [("bob", ["everyone"]), ("eve", [])])
def test_users_have_their_groups(
    http: httpx2.Client, keycloak: Realm, user: str, groups: list[str]
) -> None:
    claims = verified(http, keycloak, log_in(http, keycloak, user)["access_token"]).claims
    assert (claims["preferred_username"], claims["groups"]) == (user, groups)


def test_rotation_detects_reuse(http: httpx2.Client, keycloak: Realm) -> None:
    first = log_in(http, keycloak)["refresh_token"]
    second = refresh(http, keycloak, first).json()["refresh_token"]
    assert second != first
    assert error(refresh(http, keycloak, first)) == "400 invalid_grant"
    assert error(refresh(http, keycloak, second)) == "400 invalid_grant"


def test_without_reuse_detection_the_old_token_lives_on(
    http: httpx2.Client, keycloak: Realm
) -> None:
    keycloak.configure(Options(reuse_detection=False))
    first = log_in(http, keycloak)["refresh_token"]
    assert refresh(http, keycloak, first).json()["refresh_token"] != first
    assert refresh(http, keycloak, first).status_code == 200


def test_norotate_keeps_the_refresh_token(http: httpx2.Client, idp: Idp) -> None:
    first = log_in(http, idp["norotate"])["refresh_token"]
    assert refresh(http, idp["norotate"], first).json()["refresh_token"] == first


def test_fast_tokens_die_quickly(http: httpx2.Client, idp: Idp) -> None:
    fast = idp["fast"]
    fast.configure(Options(refresh_token_seconds=1))
    tokens = log_in(http, fast)
    claims = verified(http, fast, tokens["access_token"]).claims
    assert claims["exp"] - claims["iat"] == tokens["expires_in"] == 2
    time.sleep(1.01)  # the life of the refresh token
    assert error(refresh(http, fast, tokens["refresh_token"])) == "400 invalid_grant"


def test_revocation_at_logout(http: httpx2.Client, keycloak: Realm) -> None:
    refresh_token = log_in(http, keycloak)["refresh_token"]
    data = {"token": refresh_token, "client_id": keycloak.client_id}
    introspection = f"{keycloak.issuer}/token/introspection"
    assert http.post(introspection, data=data).json()["active"] is True
    assert http.post(f"{keycloak.issuer}/token/revocation", data=data).status_code == 200
    assert http.post(introspection, data=data).json() == {"active": False}
    assert error(refresh(http, keycloak, refresh_token)) == "400 invalid_grant"


def test_an_administrator_ends_a_session(http: httpx2.Client, keycloak: Realm) -> None:
    ada, bob = (log_in(http, keycloak, user)["refresh_token"] for user in ("ada", "bob"))
    keycloak.revoke_user("ada")
    assert error(refresh(http, keycloak, ada)) == "400 invalid_grant"
    bob = refresh(http, keycloak, bob).json()["refresh_token"]
    keycloak.expire("refresh")
    assert error(refresh(http, keycloak, bob)) == "400 invalid_grant"


def test_token_options(http: httpx2.Client, keycloak: Realm) -> None:
    options = Options(jwt_type="at+jwt", groups_claim=False, clock_offset_seconds=-3600)
    keycloak.configure(options)
    keys = KeySet.import_key_set(http.get(f"{keycloak.issuer}/jwks").json())
    decoded = jwt.decode(log_in(http, keycloak)["access_token"], keys)
    assert decoded.header["typ"] == "at+jwt"
    assert "groups" not in decoded.claims
    assert decoded.claims["exp"] < time.time()


# --- clients ---------------------------------------------------------------------------------


def test_client_credentials(http: httpx2.Client, keycloak: Realm) -> None:
    answer = http.post(
        keycloak.token_url,
        data={"grant_type": "client_credentials"},
        headers=basic(keycloak.ci_client_id, keycloak.ci_client_secret),
    ).json()
    claims = verified(http, keycloak, answer["access_token"]).claims
    assert claims["preferred_username"] == "service-account-crane-ci"
    assert "refresh_token" not in answer


def test_client_credentials_with_a_signed_assertion(http: httpx2.Client, keycloak: Realm) -> None:
    client = keycloak.ci_jwt_client_id or ""
    now = int(time.time())
    claims = {"iss": client, "sub": client, "aud": keycloak.issuer, "jti": str(time.time_ns())}
    key = ECKey.import_key(dict(keycloak.ci_jwt_key or {}))
    assertion = jwt.encode({"alg": "ES256", "kid": "ci"}, {**claims, "exp": now + 60}, key)
    answer = http.post(
        keycloak.token_url,
        data={
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
        },
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("kind", ["token-exchange", "jwt-bearer"])
def test_a_workloads_token_buys_an_access_token(
    http: httpx2.Client, keycloak: Realm, kind: str
) -> None:
    key = ECKey.import_key(dict(keycloak.ci_jwt_key or {}))
    claims = {"sub": "repo:acme/app", "aud": keycloak.issuer, "exp": int(time.time()) + 60}

    def exchange(changes: dict[str, str | int]) -> httpx2.Response:
        workload = jwt.encode({"alg": "ES256"}, claims | changes, key)
        grant = f"urn:ietf:params:oauth:grant-type:{kind}"
        jwt_type = "urn:ietf:params:oauth:token-type:jwt"
        subject = {"subject_token": workload, "subject_token_type": jwt_type}
        params = subject if kind == "token-exchange" else {"assertion": workload}
        return token(http, keycloak, grant_type=grant, **params)

    answer = exchange({})
    assert answer.status_code == 200, answer.text
    bought = verified(http, keycloak, answer.json()["access_token"]).claims
    assert bought["preferred_username"] == "repo:acme/app"
    assert error(exchange({"exp": 1})) == "400 invalid_grant"
    assert error(exchange({"aud": "https://elsewhere.example"})) == "400 invalid_grant"


def test_basiconly_wants_the_encoded_secret_in_the_header(http: httpx2.Client, idp: Idp) -> None:
    realm = idp["basiconly"]
    assert discover(http, realm)["token_endpoint_auth_methods_supported"] == ["client_secret_basic"]
    answer = token(http, realm, grant_type="client_credentials")
    verified(http, realm, answer.json()["access_token"])
    tokens = log_in(http, realm)
    assert refresh(http, realm, tokens["refresh_token"]).status_code == 200
    data = {"grant_type": "client_credentials"}
    secret = {"client_id": realm.client_id, "client_secret": realm.client_secret or ""}
    assert error(http.post(realm.token_url, data=data | secret)) == "401 invalid_client"
    raw = (realm.client_id, realm.client_secret or "")
    assert http.post(realm.token_url, data=data, auth=raw).status_code in (400, 401)


def test_postonly_wants_the_secret_in_the_body(http: httpx2.Client, idp: Idp) -> None:
    realm = idp["postonly"]
    assert discover(http, realm)["token_endpoint_auth_methods_supported"] == ["client_secret_post"]
    tokens = log_in(http, realm)
    assert refresh(http, realm, tokens["refresh_token"]).status_code == 200
    headers = basic(realm.client_id, realm.client_secret or "")
    data = {"grant_type": "client_credentials"}
    answer = http.post(realm.token_url, data=data, headers=headers)
    assert error(answer) == "401 invalid_client"


# --- authorization code ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["keycloak", "nodevice", "basiconly"])
def test_code_with_pkce_over_a_loopback_port(http: httpx2.Client, idp: Idp, name: str) -> None:
    realm = idp[name]
    with Loopback() as loopback:
        approve_authorization(authorization_url(http, realm, loopback.uri), "bob")
        back = loopback.came_back()
    assert (back["state"], back["iss"]) == ("xyz", realm.issuer)
    redeem = {"grant_type": "authorization_code", "redirect_uri": loopback.uri}
    answer = token(http, realm, code=back["code"], code_verifier=VERIFIER, **redeem).json()
    assert verified(http, realm, answer["access_token"]).claims["preferred_username"] == "bob"
    assert answer["refresh_token"]


def test_code_flow_denied(http: httpx2.Client, keycloak: Realm) -> None:
    with Loopback() as loopback:
        deny_authorization(authorization_url(http, keycloak, loopback.uri))
        assert loopback.came_back()["error"] == "access_denied"


def test_both_forms_of_metadata(http: httpx2.Client, keycloak: Realm) -> None:
    parts = urlsplit(keycloak.issuer)
    rfc8414 = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path}"
    assert http.get(rfc8414).json()["issuer"] == keycloak.issuer
    assert discover(http, keycloak)["token_endpoint"] == keycloak.token_url
