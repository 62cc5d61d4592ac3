"""The broker and the grant by which a login began: a person's never becomes a service's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from auth.kit import URL, Desk, at_desk, store_in, token
from idp.oidc import Idp, Realm

from crane_core.auth.broker import Broker
from crane_core.auth.login import Login
from crane_core.auth.model import (
    Identity,
    ProviderMetadata,
    Session,
    TokenSet,
    session_key,
)
from crane_core.config.model import Index
from crane_core.errors import LoginNeeded
from crane_core.secret import Secret

LIFE = 300.0  # of an access token, in seconds


@pytest.fixture
def realm(idp: Idp) -> Realm:
    """Give a realm whose client has a secret, with which persons and a service log in."""
    return idp["basiconly"]


def with_a_secret(realm: Realm, folder: Path, job: Callable[[Desk], Awaitable[None]]) -> None:
    """Run a job at a desk where the client's secret is in the environment."""
    environ = {"CRANE_CLIENT_SECRET_FIRM": realm.client_secret or ""}
    at_desk(realm, folder, job, environ=environ, client_id=realm.client_id)


def services(realm: Realm) -> int:
    """How often the service has logged in."""
    return len(realm.requests("token", grant="client_credentials"))


def refuse(desk: Desk) -> None:
    desk.realm.revoke_user("ada")


def forget(desk: Desk) -> None:
    desk.change(refresh_token=None)


def mistake(desk: Desk) -> None:
    desk.realm.fail("invalid_target", grant="refresh_token")


@pytest.mark.parametrize("end", [refuse, forget, mistake])
def test_a_persons_ended_login_is_not_renewed_as_the_service(
    realm: Realm, folder: Path, end: Callable[[Desk], None]
) -> None:
    """The index would see another name, with other rights, and nobody would notice."""

    async def job(desk: Desk) -> None:
        await desk.login()
        assert desk.session.grant == "device"
        end(desk)
        desk.clock.offset += LIFE
        realm.clear_requests()
        for _ in range(2):
            with pytest.raises(LoginNeeded):
                await token(desk)
        assert services(realm) == 0
        assert realm.requests("discovery") == []  # there is nothing to ask the provider about
        assert desk.session.tokens.account == "ada"

    with_a_secret(realm, folder, job)


def test_a_persons_refused_token_is_not_renewed_as_the_service(realm: Realm, folder: Path) -> None:
    """The index says 401, and the provider that the login is over."""

    async def job(desk: Desk) -> None:
        await desk.login()
        refuse(desk)
        with pytest.raises(LoginNeeded):
            await token(desk, rejected=desk.session.tokens.access_token)
        assert services(realm) == 0

    with_a_secret(realm, folder, job)


def test_a_persons_login_is_not_renewed_as_the_job_around_it(
    idp: Idp, folder: Path, tmp_path: Path
) -> None:
    """Nor by an identity of the surroundings, as on a machine in a cloud."""
    realm = idp["keycloak"]
    file = tmp_path / "identity"
    file.write_text("e30.e30.c2ln")

    async def job(desk: Desk) -> None:
        await desk.login()
        refuse(desk)
        desk.clock.offset += LIFE
        desk.person.can_answer = False
        with pytest.raises(LoginNeeded):
            await token(desk)
        with pytest.raises(LoginNeeded, match="was a person's"):
            await Login(desk.context).run(desk.index)

    at_desk(realm, folder, job, environ={"CRANE_ID_TOKEN_FILE": str(file)})
    assert {r.grant for r in realm.requests("token")} <= {
        "refresh_token", "urn:ietf:params:oauth:grant-type:device_code",
    }  # fmt: skip


def test_a_refresh_keeps_in_mind_how_the_login_began(realm: Realm, folder: Path) -> None:
    """However often it was refreshed."""

    async def job(desk: Desk) -> None:
        await desk.login()
        for _ in range(2):
            await token(desk, rejected=desk.session.tokens.access_token)
        assert desk.session.grant == "device"
        assert desk.session.identity == Identity(realm.issuer, "ada", (realm.client_id,))
        assert desk.refreshes == 2

    with_a_secret(realm, folder, job)


def test_where_nobody_had_logged_in_the_service_does(realm: Realm, folder: Path) -> None:
    """And it renews its own login, though its tokens cannot be refreshed."""

    async def job(desk: Desk) -> None:
        first = await token(desk)
        assert (desk.session.grant, desk.session.identity) == ("client-credentials", None)
        desk.clock.offset += LIFE
        assert await token(desk) != first
        assert await token(desk, rejected=desk.session.tokens.access_token)
        assert services(realm) == 3

    with_a_secret(realm, folder, job)


def test_a_registered_service_takes_over(realm: Realm, folder: Path) -> None:
    """`grant` says whose login is meant, whoever had logged in before."""

    async def job(desk: Desk) -> None:
        await desk.login()
        refuse(desk)
        desk.clock.offset += LIFE
        desk.index = replace(desk.index, grant="client-credentials")
        await token(desk)
        assert services(realm) == 1
        assert desk.session.grant == "client-credentials"

    with_a_secret(realm, folder, job)


@pytest.mark.parametrize("answers", [True, False])
def test_a_login_that_names_no_grant_makes_no_service_of_a_person(
    realm: Realm, folder: Path, answers: bool
) -> None:
    """As the gateway and `crane pip` start one when the broker asks for it."""

    async def job(desk: Desk) -> None:
        await desk.login()
        refuse(desk)
        desk.clock.offset += LIFE
        with pytest.raises(LoginNeeded):
            await token(desk)
        desk.person.can_answer = answers
        if answers:
            assert (await Login(desk.context).run(desk.index)).tokens.account == "ada"
        else:
            with pytest.raises(LoginNeeded) as caught:
                await Login(desk.context).run(desk.index)
            assert "crane login firm" in caught.value.hint
            assert "crane logout firm" in caught.value.hint
        assert services(realm) == 0
        desk.store.delete(session_key(desk.index))
        assert (await Login(desk.context).run(desk.index)).grant == "client-credentials"

    with_a_secret(realm, folder, job)


# --- the stored form ---------------------------------------------------------------------------

OLD_TOKENS = {
    "access_token", "issued_at", "expires_at", "refresh_token", "refresh_expires_at", "scope",
    "account",
}  # fmt: skip
OLD_PROVIDER = {
    "token_endpoint", "issuer", "authorization_endpoint", "device_authorization_endpoint",
    "revocation_endpoint", "grant_types", "code_challenge_methods", "token_auth_methods",
    "sends_issuer",
}  # fmt: skip


def stored(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return the one file with a session, and what stands in it."""
    (file,) = (f for f in folder.glob("*.json") if '"tokens"' in f.read_text())
    return file, json.loads(file.read_text())


def test_a_file_of_an_older_version_is_a_persons_login(realm: Realm, folder: Path) -> None:
    """It does not say who had logged in; it is used, refreshed, and not taken over."""

    async def job(desk: Desk) -> None:
        await desk.login()
        file, record = stored(folder)
        del record["grant"], record["identity"]
        file.write_text(json.dumps(record))
        old = desk.another_broker()
        session = old.session(desk.index)
        assert session == replace(desk.session, grant=None, identity=None)
        assert await old.access_token(desk.index) == session.tokens.access_token
        await old.access_token(desk.index, rejected=session.tokens.access_token)
        renewed = store_in(folder).read_for(desk.index)
        assert renewed is not None
        assert (renewed.grant, renewed.identity and renewed.identity.subject) == (None, "ada")
        refuse(desk)
        desk.clock.offset += LIFE
        with pytest.raises(LoginNeeded):
            await old.access_token(desk.index)
        assert services(realm) == 0

    with_a_secret(realm, folder, job)


def test_an_older_version_reads_what_is_written(realm: Realm, folder: Path) -> None:
    """It takes no unknown member within tokens and provider, and looks at no other."""

    async def job(desk: Desk) -> None:
        await desk.login()
        _, record = stored(folder)
        assert record["format"] == 1
        assert set(record["tokens"]) == OLD_TOKENS
        assert set(record["provider"]) == OLD_PROVIDER

    with_a_secret(realm, folder, job)


@pytest.mark.parametrize("grant", [5, None, ["device"], {}, True])
@pytest.mark.parametrize(
    "identity", [5, [], "x", {}, {"issuer": 5, "subject": [], "audiences": {"a": 1}}]
)
def test_a_senseless_grant_or_identity_is_unknown(
    folder: Path, grant: object, identity: object
) -> None:
    """The tokens beside it are as good as before."""
    index = Index("firm", URL, issuer="https://sso.example")
    key, provider = session_key(index), ProviderMetadata("https://sso.example/token")
    store_in(folder).write(key, Session(TokenSet(Secret("t"), 1.0), provider, "device"))
    file, record = stored(folder)
    file.write_text(json.dumps(record | {"grant": grant, "identity": identity}))
    session = store_in(folder).read(key)
    assert session is not None
    assert session.tokens.access_token == Secret("t")
    assert session.grant is None
    assert session.identity in {None, Identity(None, None)}
    store_in(folder).write(key, session)
    assert store_in(folder).read(key) == session


def test_two_processes_agree(realm: Realm, folder: Path) -> None:
    """What one has stored about the beginning, another acts by."""

    async def job(desk: Desk) -> None:
        await desk.login()
        refuse(desk)
        desk.clock.offset += LIFE
        brokers = [desk.another_broker() for _ in range(3)]
        found = await asyncio.gather(*(_why(b, desk) for b in brokers))
        assert {type(error) for error in found} == {LoginNeeded}
        assert services(realm) == 0

    with_a_secret(realm, folder, job)


async def _why(broker: Broker, desk: Desk) -> Exception | None:
    try:
        await broker.access_token(desk.index)
    except LoginNeeded as error:
        return error
    return None
