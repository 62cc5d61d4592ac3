"""The broker while the provider is down, fails or ends the login."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from auth.kit import Desk, logged_in, token
from idp.oidc import Realm

from crane_core.auth.model import session_key
from crane_core.errors import (
    ClientRejected,
    EndpointMissing,
    LoginNeeded,
    ProviderAnswer,
    ProviderUnreachable,
)

LIFE = 300.0  # of an access token, in seconds


def test_a_valid_token_is_used_while_the_provider_is_down(realm: Realm, folder: Path) -> None:
    """Due for a refresh, but good for a while yet."""

    async def job(desk: Desk) -> None:
        first = await token(desk)
        desk.clock.offset += LIFE - 20
        realm.quirk("drop_request", times=None)
        assert await token(desk) == first
        assert desk.refreshes == 1

    logged_in(realm, folder, job)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_valid_token_is_used_while_the_provider_fails(
    realm: Realm, folder: Path, status: int
) -> None:
    """An error page of a load balancer is no word about the login."""

    async def job(desk: Desk) -> None:
        first = await token(desk)
        desk.clock.offset += LIFE - 20
        realm.respond(status, {"error": "Service Unavailable"}, times=None)
        assert await token(desk) == first

    logged_in(realm, folder, job)


@pytest.mark.parametrize(
    ("status", "error"), [(401, "invalid_client"), (400, "unauthorized_client")]
)
def test_a_valid_token_is_used_while_the_client_is_rejected(
    realm: Realm, folder: Path, status: int, error: str
) -> None:
    """A secret that was just changed is no reason to stop before it must; then it is said."""

    async def job(desk: Desk) -> None:
        before = desk.session
        desk.clock.offset += LIFE - 20
        realm.fail(error, status=status, grant="refresh_token", times=None)
        for _ in range(2):
            assert await token(desk) == before.tokens.access_token
        assert desk.refreshes == 2
        # The index's word counts more than the time that is left.
        with pytest.raises(ClientRejected):
            await token(desk, rejected=before.tokens.access_token)
        desk.clock.offset += 20
        with pytest.raises(ClientRejected) as caught:
            await token(desk)
        assert caught.value.exit_code == 13
        assert desk.session == before
        realm.clear_quirks()
        assert await token(desk) != before.tokens.access_token

    logged_in(realm, folder, job)


def test_an_expired_token_while_the_provider_is_down(realm: Realm, folder: Path) -> None:
    """Exit code 14; the session is kept and works again when the provider does."""

    async def job(desk: Desk) -> None:
        before = desk.session
        desk.clock.offset += LIFE
        realm.quirk("drop_request", times=None)
        with pytest.raises(ProviderUnreachable) as caught:
            await token(desk)
        assert caught.value.exit_code == 14
        assert desk.session == before
        realm.clear_quirks()
        assert await token(desk) != before.tokens.access_token

    logged_in(realm, folder, job)


def test_a_rejected_token_is_not_handed_out_again(realm: Realm, folder: Path) -> None:
    """Also not to a task that joined the refresh of one who could still use it."""

    async def job(desk: Desk) -> None:
        first = await token(desk)
        desk.clock.offset += LIFE - 20
        realm.quirk("hold_request", grant="refresh_token")
        realm.respond(503, times=None)
        early = asyncio.create_task(token(desk))
        await asyncio.to_thread(realm.wait_for, "token", grant="refresh_token")
        rejected = asyncio.create_task(token(desk, rejected=first))
        await asyncio.sleep(0)
        await asyncio.to_thread(realm.release)
        assert await early == first
        with pytest.raises(ProviderUnreachable):
            await rejected

    logged_in(realm, folder, job)


def test_a_login_that_has_ended_is_asked_about_once(realm: Realm, folder: Path) -> None:
    """`invalid_grant` drops the refresh token: no second request offers it again."""

    async def job(desk: Desk) -> None:
        realm.revoke_user("ada")
        desk.clock.offset += LIFE
        for _ in range(3):
            with pytest.raises(LoginNeeded) as caught:
                await token(desk)
            assert caught.value.exit_code == 4
            assert caught.value.hint == "run: crane login firm"
        assert desk.refreshes == 1
        assert desk.session.tokens.refresh_token is None

    logged_in(realm, folder, job)


def test_a_burnt_refresh_token_is_dropped_too(realm: Realm, folder: Path) -> None:
    """Providers use up the token before they say `invalid_target`."""

    async def job(desk: Desk) -> None:
        realm.fail("invalid_target", grant="refresh_token")
        desk.clock.offset += LIFE
        for _ in range(2):
            with pytest.raises(LoginNeeded):
                await token(desk)
        assert desk.refreshes == 1

    logged_in(realm, folder, job)


def test_a_lost_answer_ends_in_one_login_not_in_a_loop(realm: Realm, folder: Path) -> None:
    """The provider has rotated and its answer is lost: the old token is tried once more."""

    async def job(desk: Desk) -> None:
        realm.quirk("drop_answer", grant="refresh_token")
        desk.clock.offset += LIFE
        with pytest.raises(ProviderUnreachable):
            await token(desk)
        for _ in range(2):
            with pytest.raises(LoginNeeded):
                await token(desk)
        assert desk.refreshes == 2
        await desk.login()
        await token(desk)

    logged_in(realm, folder, job)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, "<html>log in</html>", ProviderAnswer),
        (200, {"access_token": "a\nb"}, ProviderAnswer),
        (404, "<html>gone</html>", EndpointMissing),
        (401, {"error": "invalid_client"}, ClientRejected),
    ],
)
def test_a_senseless_answer_keeps_the_session(
    realm: Realm, folder: Path, status: int, body: str | dict[str, str], expected: type[Exception]
) -> None:
    """It says nothing about the refresh token, which is tried again next time."""

    async def job(desk: Desk) -> None:
        before = desk.session
        realm.respond(status, body, grant="refresh_token")
        desk.clock.offset += LIFE
        with pytest.raises(expected):
            await token(desk)
        assert desk.session == before
        assert (await token(desk)).reveal()

    logged_in(realm, folder, job)


def test_a_login_that_has_ended_meanwhile_is_not_adopted(realm: Realm, folder: Path) -> None:
    """While a login waits for its turn, another process hears that the old one is over.

    The session has changed then, too, and nobody has logged in.
    """

    async def job(desk: Desk) -> None:
        key = session_key(desk.index)
        realm.revoke_user("ada")
        async with desk.store.lock(key, "login", timeout=5, notice=print):
            waiting = asyncio.create_task(desk.login())
            await asyncio.sleep(0)
            desk.clock.offset += LIFE
            with pytest.raises(LoginNeeded):
                await desk.another_broker().access_token(desk.index)
        session = await waiting
        assert session.tokens.refresh_token is not None
        assert len(desk.person.shown) == 2

    logged_in(realm, folder, job)


def test_an_early_refresh_that_is_refused_leaves_the_token_to_its_end(
    realm: Realm, folder: Path
) -> None:
    """Whoever asks gets the same answer: the valid token, and a login once it is over."""

    async def job(desk: Desk) -> None:
        first = await token(desk)
        realm.revoke_user("ada")
        desk.clock.offset += LIFE - 20
        assert [await token(desk) for _ in range(3)] == [first] * 3
        desk.clock.offset += 20
        with pytest.raises(LoginNeeded):
            await token(desk)
        assert desk.refreshes == 1

    logged_in(realm, folder, job)
