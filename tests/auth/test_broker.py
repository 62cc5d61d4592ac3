"""The broker: fresh tokens, and one refresh at a time."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from auth.kit import Desk, at_desk, logged_in, store_in, token
from idp.oidc import Idp, Realm

from crane_core.auth.broker import Broker
from crane_core.auth.model import session_key
from crane_core.errors import (
    LoginNeeded,
)
from crane_core.http import Clients
from crane_core.secret import Secret

LIFE = 300.0  # of an access token, in seconds


@pytest.mark.parametrize(("age", "refreshes"), [(0, 0), (LIFE - 35, 0), (LIFE - 25, 1), (LIFE, 1)])
def test_a_token_is_renewed_a_little_before_its_end(
    realm: Realm, folder: Path, age: float, refreshes: int
) -> None:
    """Thirty seconds early, so that no request leaves with a token that dies on the way."""

    async def job(desk: Desk) -> None:
        first = await token(desk)
        desk.clock.offset += age
        assert (await token(desk) != first) == bool(refreshes)
        assert desk.refreshes == refreshes
        assert desk.session.tokens.access_token == await token(desk)

    logged_in(realm, folder, job)


def test_a_short_life_is_renewed_a_tenth_before_its_end(idp: Idp, folder: Path) -> None:
    """A token of two seconds would never be fresh with a fixed margin."""

    async def job(desk: Desk) -> None:
        issued = desk.session.tokens.issued_at
        desk.clock.offset += issued + 1.5 - desk.clock.now()
        await token(desk)
        assert desk.refreshes == 0
        desk.clock.offset += issued + 1.9 - desk.clock.now()
        await token(desk)
        assert desk.refreshes == 1

    logged_in(idp["fast"], folder, job)


def test_a_rejected_token_is_renewed_though_it_looks_fresh(realm: Realm, folder: Path) -> None:
    """The index said 401: its word counts, once."""

    async def job(desk: Desk) -> None:
        first = await token(desk)
        second = await token(desk, rejected=first)
        assert second != first
        assert await token(desk, rejected=first) == second
        assert desk.refreshes == 1

    logged_in(realm, folder, job)


def test_a_renewed_token_is_stored_before_it_is_used(realm: Realm, folder: Path) -> None:
    """Another process reads the rotated refresh token as soon as we have the access token."""

    async def job(desk: Desk) -> None:
        before = desk.session.tokens
        renewed = await token(desk, rejected=before.access_token)
        assert desk.session.tokens.access_token == renewed
        assert desk.session.tokens.refresh_token not in {None, before.refresh_token}
        assert desk.session.tokens.account == "ada"
        assert desk.session.provider.revocation_endpoint is not None

    logged_in(realm, folder, job)


def test_fifty_tasks_share_one_refresh(realm: Realm, folder: Path) -> None:
    """All get the same new token; the provider sees one request."""

    async def job(desk: Desk) -> None:
        first = await token(desk)
        found = await asyncio.gather(*(token(desk, rejected=first) for _ in range(50)))
        assert len(set(found)) == 1
        assert found[0] != first
        assert desk.refreshes == 1

    logged_in(realm, folder, job)


def test_fifty_brokers_on_one_folder_share_one_refresh(realm: Realm, folder: Path) -> None:
    """Without shared memory the lock and the second look at the store do it."""

    async def job(desk: Desk) -> None:
        first = await token(desk)
        brokers = [desk.another_broker() for _ in range(50)]
        calls = (b.access_token(desk.index, rejected=first) for b in brokers)
        assert len(set(await asyncio.gather(*calls))) == 1
        assert desk.refreshes == 1

    logged_in(realm, folder, job)


def test_twenty_threads_share_one_refresh(realm: Realm, folder: Path) -> None:
    """Each with a loop and a broker of its own: the lock is between threads, too."""

    def in_a_thread(desk: Desk, first: Secret, start: threading.Barrier) -> Secret:
        async def ask() -> Secret:
            async with Clients() as clients:
                context = replace(desk.context, store=store_in(folder), clients=clients)
                start.wait(30)
                return await Broker(context).access_token(desk.index, rejected=first)

        return asyncio.run(ask())

    async def job(desk: Desk) -> None:
        first, start = await token(desk), threading.Barrier(20)
        with ThreadPoolExecutor(20) as pool:
            calls = [pool.submit(in_a_thread, desk, first, start) for _ in range(20)]
            found = {call.result() for call in calls}
        assert len(found) == 1
        assert first not in found
        assert desk.refreshes == 1

    logged_in(realm, folder, job)


def test_a_task_that_leaves_does_not_end_the_refresh(realm: Realm, folder: Path) -> None:
    """The answer under way holds the only valid refresh token: it is awaited and stored."""

    async def job(desk: Desk) -> None:
        before = desk.session.tokens
        realm.quirk("hold_request", grant="refresh_token")
        leaving = asyncio.create_task(token(desk, rejected=before.access_token))
        staying = asyncio.create_task(token(desk, rejected=before.access_token))
        await asyncio.to_thread(realm.wait_for, "token", grant="refresh_token")
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        realm.release()
        assert await staying == desk.session.tokens.access_token != before.access_token
        assert desk.refreshes == 1

    logged_in(realm, folder, job)


def test_closing_waits_for_a_refresh_that_everybody_has_left(realm: Realm, folder: Path) -> None:
    """A program that ends in the middle of a refresh still stores its answer."""

    async def job(desk: Desk) -> None:
        before = desk.session.tokens
        realm.quirk("hold_request", grant="refresh_token")
        leaving = asyncio.create_task(token(desk, rejected=before.access_token))
        await asyncio.to_thread(realm.wait_for, "token", grant="refresh_token")
        leaving.cancel()
        closing = asyncio.create_task(desk.broker.close())
        await asyncio.to_thread(realm.release)
        await closing
        assert desk.session.tokens.refresh_token not in {None, before.refresh_token}

    logged_in(realm, folder, job)


def test_a_provider_that_does_not_rotate(idp: Idp, folder: Path) -> None:
    """The refresh token is kept through refreshes, whether it is repeated or left out."""
    realm = idp["norotate"]

    async def job(desk: Desk) -> None:
        kept = desk.session.tokens.refresh_token
        for unset in ((), ("refresh_token",)):
            realm.patch(unset=unset, grant="refresh_token")
            await token(desk, rejected=desk.session.tokens.access_token)
            assert desk.session.tokens.refresh_token == kept
        assert desk.refreshes == 2

    logged_in(realm, folder, job)


def test_the_provider_says_when_a_login_ends(realm: Realm, folder: Path) -> None:
    """Past the named end the refresh token is still offered: our clock may have been set."""

    async def job(desk: Desk) -> None:
        first = await token(desk)
        desk.clock.offset += 100_000
        assert await token(desk) != first
        realm.expire("refresh")
        desk.clock.offset += LIFE
        with pytest.raises(LoginNeeded):
            await token(desk)

    logged_in(realm, folder, job)


def test_without_a_refresh_token_the_access_token_is_used_to_its_end(
    idp: Idp, folder: Path
) -> None:
    """There is nothing to renew early with, so nobody is asked to log in early."""

    async def job(desk: Desk) -> None:
        first = await token(desk)
        desk.clock.offset += LIFE - 10
        assert await token(desk) == first
        desk.clock.offset += 10
        with pytest.raises(LoginNeeded):
            await token(desk)

    logged_in(idp["bare"], folder, job)


def test_nobody_is_logged_in(realm: Realm, folder: Path) -> None:
    """The index and the command to run are named; the provider is not asked."""

    async def job(desk: Desk) -> None:
        with pytest.raises(LoginNeeded, match="nobody is logged in at firm"):
            await token(desk)

    at_desk(realm, folder, job)
    assert realm.requests("token") == []


def test_a_login_of_another_process_is_adopted(realm: Realm, folder: Path) -> None:
    """A broker that has just asked for a login uses the one that somebody else made."""

    async def job(desk: Desk) -> None:
        ours = desk.another_broker()
        with pytest.raises(LoginNeeded):
            await ours.access_token(desk.index)
        session = await desk.login()
        assert await ours.access_token(desk.index) == session.tokens.access_token

    at_desk(realm, folder, job)


def test_a_login_made_while_a_refresh_waits_for_its_lock_is_adopted(
    realm: Realm, folder: Path
) -> None:
    """After the lock the store is read again: the new session is used, not refreshed."""

    async def job(desk: Desk) -> None:
        old = desk.session
        desk.clock.offset += LIFE
        async with desk.store.lock(session_key(desk.index), "refresh", timeout=5, notice=print):
            waiting = asyncio.create_task(token(desk))
            await asyncio.sleep(0)
            now = desk.clock.now()
            fresh = replace(
                old.tokens, access_token=Secret("new"), issued_at=now, expires_at=now + LIFE
            )
            desk.store.write(session_key(desk.index), replace(old, tokens=fresh))
        assert await waiting == Secret("new")
        assert desk.refreshes == 0

    logged_in(realm, folder, job)


def test_the_refresh_carries_the_resource_of_the_registration(realm: Realm, folder: Path) -> None:
    """A refreshed token must fit the same index (RFC 8707 §2.2); no secret goes along."""

    async def job(desk: Desk) -> None:
        await desk.login()
        await token(desk, rejected=desk.session.tokens.access_token)

    at_desk(realm, folder, job, resource=realm.audience)
    (asked,) = realm.requests("token", grant="refresh_token")
    assert asked.params["resource"] == realm.audience
    assert asked.params["client_id"] == "crane-pip"
    assert asked.auth == "none"
