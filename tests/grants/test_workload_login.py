"""A job without a person trades its identity for a token (RFC 8693, RFC 7523 §2.1)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from grants.kit import NOBODY, Desk, Person, at_desk, claims_at, index_at, register
from grants.workload import github_job, signed_identity, token_service
from idp.oidc import Realm
from support.world import User

from crane_core.auth import choose
from crane_core.auth.grants import workload_identity
from crane_core.auth.grants.workload_identity import JWT_BEARER, TOKEN_EXCHANGE
from crane_core.auth.workload import cluster
from crane_core.errors import LoginNeeded

__all__ = ["github_job"]

FIRM_AUDIENCE = "https://firm.example/ci"


def test_a_github_job_needs_no_login(user: User, realm: Realm, github_job: dict[str, str]) -> None:
    """The provider says that it exchanges tokens, and that is enough: nothing to configure."""
    register(user, index_at(realm))
    done = user.crane("token", check=True, **github_job)
    assert claims_at(realm, done.stdout.strip())["preferred_username"] == "repo:acme/app"
    (asked,) = realm.requests("token")
    assert (asked.grant, asked.status) == (TOKEN_EXCHANGE, 200)
    assert asked.params["subject_token_type"] == "urn:ietf:params:oauth:token-type:jwt"
    assert asked.params["requested_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert done.stderr == ""


def test_a_jwt_bearer_is_taken_where_it_is_registered(
    user: User, realm: Realm, github_job: dict[str, str]
) -> None:
    """RFC 7523: the identity itself is the grant."""
    register(user, index_at(realm, grant="jwt-bearer"))
    done = user.crane("token", check=True, **github_job)
    assert claims_at(realm, done.stdout.strip())["preferred_username"] == "repo:acme/app"
    (asked,) = realm.requests("token")
    assert (asked.grant, asked.status) == (JWT_BEARER, 200)
    assert "subject_token" not in asked.params


@pytest.mark.parametrize("grant", ["token-exchange", "jwt-bearer"])
def test_an_identity_for_another_audience(
    user: User, realm: Realm, github_job: dict[str, str], grant: str
) -> None:
    """The registration's audience is what the job asks for; a refusal names it."""
    register(user, index_at(realm, grant=grant, workload_audience=FIRM_AUDIENCE))
    done = user.crane("token", **github_job)
    assert done.returncode == 15
    assert f"take this job's identity for {FIRM_AUDIENCE}?" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_audience_of_the_access_token_goes_along(
    user: User, realm: Realm, github_job: dict[str, str]
) -> None:
    """RFC 8693 §2.1: `audience` and `resource` say for whom the new token is."""
    register(user, index_at(realm, audience="firm", scope="crane"))
    user.crane("token", check=True, **github_job)
    (asked,) = realm.requests("token")
    assert asked.params["audience"] == "firm"
    assert asked.params["scope"] == "crane"


def test_a_token_file_is_read_anew_for_each_exchange(realm: Realm, tmp_path: Path) -> None:
    """Clusters rotate it; and an expired access token needs no person to be renewed."""
    file = tmp_path / "token"
    file.write_text(signed_identity(realm, realm.issuer, "first"))

    async def job(desk: Desk) -> list[str]:
        first = await desk.token()
        file.write_text(signed_identity(realm, realm.issuer, "second"))
        desk.watch.offset = 301
        return [first, await desk.token()]

    environ = {"CRANE_ID_TOKEN_FILE": str(file)}
    tokens = at_desk(tmp_path, index_at(realm), job, person=NOBODY, environ=environ)
    names = [claims_at(realm, token)["preferred_username"] for token in tokens]
    assert names == ["first", "second"]


def test_a_broken_identity_is_exit_code_30(user: User, realm: Realm) -> None:
    """A job without the permission: the line to add, in one line."""
    register(user, index_at(realm))
    done = user.crane("token", CI="true", GITHUB_ACTIONS="true")
    assert done.returncode == 30
    assert done.stderr.count("\n") == 1
    assert "permissions: { id-token: write }" in done.stderr
    assert realm.requests("token") == []


def test_detectors_that_are_switched_off(user: User, realm: Realm) -> None:
    """Then it is a job without an identity: exit code 4, with what to set."""
    register(user, index_at(realm))
    off = {"CI": "true", "GITHUB_ACTIONS": "true", "CRANE_DETECTORS_OFF": "github"}
    done = user.crane("token", **off)
    assert done.returncode == 4
    register(user, index_at(realm, grant="token-exchange"))
    done = user.crane("token", **off)
    assert done.returncode == 4
    assert "asked: file, gitlab, buildkite" in done.stderr
    assert "CRANE_ID_TOKEN_FILE" in done.stderr


def test_a_job_that_the_provider_does_not_trust(
    user: User, realm: Realm, github_job: dict[str, str]
) -> None:
    """A signature by another key is the provider's to refuse; nothing is stored."""
    realm.fail("invalid_grant", grant=TOKEN_EXCHANGE)
    register(user, index_at(realm))
    done = user.crane("token", **github_job)
    assert done.returncode == 15
    assert "invalid_grant" in done.stderr
    assert not list(user.sessions.glob("*.json"))


def test_a_person_in_a_cloud_shell_is_asked(realm: Realm, tmp_path: Path) -> None:
    """Somebody who is there logs in as themselves, not as the machine around them."""

    async def job(desk: Desk) -> None:
        await desk.token()

    environ = {"K_SERVICE": "shell"}
    with pytest.raises(LoginNeeded):
        at_desk(tmp_path, index_at(realm), job, person=Person(), environ=environ)
    assert realm.requests("token") == []


def test_a_machine_of_google_needs_no_configuration(
    realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of the machine is enough, as a variable is elsewhere."""
    product = tmp_path / cluster.GOOGLE_PRODUCT
    product.parent.mkdir(parents=True)
    product.write_text("Google Compute Engine\n")
    for module in (choose, workload_identity):
        monkeypatch.setattr(module, "ROOT", tmp_path)

    def answer(asked: Any) -> tuple[int, str]:
        return 200, signed_identity(realm, asked.query["audience"], "machine@firm")

    with token_service(answer) as service:
        monkeypatch.setattr(cluster, "GOOGLE_IDENTITY", f"{service.url}/identity")
        token = at_desk(tmp_path, index_at(realm), lambda desk: desk.token(), person=NOBODY)
    assert claims_at(realm, token)["preferred_username"] == "machine@firm"


def test_a_managed_identity_is_asked_for_without_the_proxy(user: User, realm: Realm) -> None:
    """The proxy of the environment is down, and only the provider is excepted from it."""
    register(user, index_at(realm))

    def answer(asked: Any) -> tuple[int, str]:
        return 200, json.dumps({"access_token": signed_identity(realm, asked.query["resource"])})

    with token_service(answer) as service:
        done = user.crane(
            "token", CI="true", IDENTITY_ENDPOINT=f"{service.url}/msi", IDENTITY_HEADER="h",
            HTTP_PROXY="http://127.0.0.1:9", NO_PROXY=realm.issuer.removesuffix("/realms/crane"),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [asked.headers["x-identity-header"] for asked in service.asked] == ["h"]


def test_no_identity_is_shown(user: User, realm: Realm, github_job: dict[str, str]) -> None:
    """Not by `--debug`, not in an error."""
    realm.fail("invalid_request", grant=TOKEN_EXCHANGE)
    register(user, index_at(realm))
    done = user.crane("--debug", "token", **github_job)
    (asked,) = realm.requests("token")
    said = done.stdout + done.stderr
    assert asked.params["subject_token"] not in said
    assert "runner-token" not in said
