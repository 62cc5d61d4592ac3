"""PKCE in the device flow, which Keycloak demands of clients that are set to PKCE."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from grants.kit import Desk, Person, at_desk, index_at
from idp.oidc import DEVICE_GRANT, Realm, approve_device

from crane_core.errors import ClientRejected

KEYCLOAK_SAYS = {
    "error": "invalid_request",
    "error_description": "Missing parameter: code_challenge_method",
}


def log_in(realm: Realm, folder: Path) -> str:
    """Log in by device code, as ada."""

    async def job(desk: Desk) -> str:
        return (await desk.login("device")).tokens.access_token.reveal()

    person = Person(lambda url: approve_device(realm.issuer, url.split("user_code=")[1]))
    return at_desk(folder, index_at(realm), job, person=person)


def test_it_is_sent_where_it_is_demanded(realm: Realm, tmp_path: Path) -> None:
    """The second request commits to a verifier, and every poll shows it."""
    realm.respond(400, KEYCLOAK_SAYS, endpoint="device_authorization")
    log_in(realm, tmp_path)
    plain, asked = realm.requests("device_authorization")
    assert "code_challenge" not in plain.params
    assert asked.params["code_challenge_method"] == "S256"
    polls = realm.requests("token", grant=DEVICE_GRANT)
    (verifier,) = {poll.params["code_verifier"] for poll in polls}
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    assert asked.params["code_challenge"] == digest.rstrip(b"=").decode()


def test_it_is_not_sent_elsewhere(realm: Realm, tmp_path: Path) -> None:
    """RFC 8628 knows no such parameter."""
    log_in(realm, tmp_path)
    for request in realm.requests():
        assert not {"code_challenge", "code_verifier"} & set(request.params)


def test_a_provider_that_is_never_content(realm: Realm, tmp_path: Path) -> None:
    """One more request, then exit code 13."""
    realm.respond(400, KEYCLOAK_SAYS, endpoint="device_authorization", times=None)
    with pytest.raises(ClientRejected):
        log_in(realm, tmp_path)
    assert len(realm.requests("device_authorization")) == 2
