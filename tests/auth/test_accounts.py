"""Several accounts at one index, and one login for several indexes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from auth.stored import refreshes
from idp.oidc import DEVICE_GRANT, Realm
from support.world import User, World, make_world

from crane_core.config.model import Index
from crane_core.config.store import ConfigStore
from crane_devserver.repository import Repository


def log_in(user: User, account: str, *more: str) -> None:
    """Log in as somebody, under the name of that account."""
    user.crane("login", "--account", account, *more, check=True, TEST_USER=account)


def who(user: User, *index: str) -> str | None:
    """Return the account that `crane status` names."""
    data = json.loads(user.crane("status", *index, "--json").stdout)["data"]
    account: str | None = data["indexes"][0]["account"]
    return account


def documents(user: User) -> int:
    """Return how many logins are stored."""
    return len(list(user.sessions.glob("*.json")))


def users_seen(world: World, since: int = 0) -> set[str]:
    """Return whose tokens the index has got, from that request on."""
    asked = world.crane.requests[since:]
    return {r.authorized_user for r in asked if r.authorized_user is not None}


@pytest.fixture
def other(realm: Realm, tmp_path: Path) -> Iterator[World]:
    """Give a second index on another origin, for users of the same provider."""
    with make_world(tmp_path / "other-world", realm) as world:
        yield world


def add(user: User, name: str, world: World, *, share: bool = False) -> None:
    """Register a further index of the same provider."""
    index = Index(
        name, world.index_url, issuer=world.realm.issuer, grant="device", share_login=share
    )
    ConfigStore(user.config_file).save(index)


# --- several accounts at one index -------------------------------------------------------------


def test_each_account_has_a_login_of_its_own(registered: User, world: World) -> None:
    """`index set --account` chooses between them, without a new login."""
    log_in(registered, "ada")
    log_in(registered, "bob")
    assert documents(registered) == 2
    for name in ("bob", "ada", "bob"):
        registered.crane("index", "set", "python", "--account", name, check=True)
        assert who(registered) == name
        before = len(world.crane.requests)
        registered.crane("status", check=True)
        assert users_seen(world, before) == {name}
    assert documents(registered) == 2


def test_choosing_an_account_ends_no_login(logged_in: User, realm: Realm) -> None:
    """Neither that of before nor that of the account; nothing is revoked."""
    log_in(logged_in, "bob")
    logged_in.crane("index", "set", "python", "--account", "bob", check=True)
    assert realm.requests("revocation") == []
    assert who(logged_in) == "bob"
    logged_in.crane("token", check=True)


def test_an_account_that_nobody_has_logged_in(logged_in: User) -> None:
    """Another account's token is not used in its place."""
    logged_in.crane("index", "set", "python", "--account", "bob", check=True)
    assert logged_in.crane("token").returncode == 4
    assert who(logged_in) is None


def test_logging_out_of_one_account(registered: User, realm: Realm) -> None:
    """The other's tokens live on, here and at the provider."""
    log_in(registered, "ada")
    log_in(registered, "bob")
    registered.crane("logout", "--account", "ada", check=True)
    assert documents(registered) == 1
    registered.crane("index", "set", "python", "--account", "bob", check=True)
    registered.crane("token", check=True)
    assert len([r for r in realm.requests("revocation") if r.status == 200]) == 1


def test_logging_out_of_the_index_is_logging_out_of_all(registered: User, realm: Realm) -> None:
    """Nobody is to find an account's tokens after a logout, also one that has no name."""
    registered.crane("login", check=True)
    log_in(registered, "ada")
    log_in(registered, "bob")
    registered.crane("logout", check=True)
    assert documents(registered) == 0
    hints = [r.params["token_type_hint"] for r in realm.requests("revocation")]
    assert hints.count("refresh_token") == 3


def test_logging_out_of_an_index_that_names_an_account(registered: User) -> None:
    """It is that account's index; the others are left alone."""
    log_in(registered, "ada")
    log_in(registered, "bob")
    registered.crane("index", "set", "python", "--account", "ada", check=True)
    registered.crane("logout", check=True)
    assert documents(registered) == 1


def test_removing_the_index_leaves_no_account(registered: User) -> None:
    """`crane index remove` forgets everybody."""
    registered.crane("login", check=True)
    log_in(registered, "bob")
    registered.crane("index", "remove", "python", check=True)
    assert documents(registered) == 0


def test_another_provider_ends_every_account(registered: User) -> None:
    """No token outlives the registration that it was made for."""
    log_in(registered, "ada")
    log_in(registered, "bob")
    registered.crane("index", "set", "python", "--scope", "openid", check=True)
    assert documents(registered) == 0


def test_a_refresh_of_one_account_leaves_the_other_alone(registered: User, realm: Realm) -> None:
    """Two sessions of one provider and client: two locks, two refresh tokens."""
    realm.patch({"expires_in": 0}, grant=DEVICE_GRANT, times=None)
    log_in(registered, "ada")
    log_in(registered, "bob")
    for name in ("ada", "bob", "ada", "bob"):
        registered.crane("index", "set", "python", "--account", name, check=True)
        registered.crane("token", check=True)
    assert len(refreshes(realm)) == 2
    assert {r.status for r in refreshes(realm)} == {200}


# --- one login for several indexes -------------------------------------------------------------


def test_two_indexes_of_one_server_share_a_login(logged_in: User, world: World) -> None:
    """Same origin, provider, client and scope: nobody logs in twice."""
    folder = world.private.parent / "second"
    folder.mkdir()
    second = Repository("second", folder, read_groups=frozenset({"everyone"}))
    world.crane.repositories["second"] = second
    index = Index("second", f"{world.crane_url}/second", issuer=world.realm.issuer, grant="device")
    ConfigStore(logged_in.config_file).save(index)
    assert who(logged_in, "second") == "ada"
    logged_in.crane("token", "second", check=True)


def test_another_origin_gets_no_token_without_being_asked(
    logged_in: User, world: World, other: World
) -> None:
    """The same provider, client and scope are not enough: exit code 4, and no token sent."""
    add(logged_in, "other", other)
    assert logged_in.crane("token", "other").returncode == 4
    assert logged_in.crane("status", "other").returncode == 4
    assert all(r.header("authorization") is None for r in other.crane.requests)
    assert users_seen(world) <= {"ada"}


def test_a_shared_login_serves_both(registered: User, world: World, other: World) -> None:
    """`--share-login` on both: one login, one session, two origins."""
    registered.crane("index", "set", "python", "--share-login", check=True)
    add(registered, "other", other, share=True)
    registered.crane("login", "python", check=True)
    assert documents(registered) == 1
    assert who(registered, "other") == "ada"
    tokens = {registered.crane("token", name, check=True).stdout for name in ("python", "other")}
    assert len(tokens) == 1
    assert users_seen(other) == {"ada"}


def test_one_side_alone_shares_nothing(logged_in: User, other: World) -> None:
    """The index that is to get a token does not decide that it does."""
    add(logged_in, "other", other, share=True)
    assert logged_in.crane("token", "other").returncode == 4
    assert users_seen(other) == set()


def test_leaving_a_shared_login_does_not_end_it_for_the_other(
    registered: User, other: World, realm: Realm
) -> None:
    """`--no-share-login` on one of two: the other goes on, this one has no login any more."""
    registered.crane("index", "set", "python", "--share-login", check=True)
    add(registered, "other", other, share=True)
    registered.crane("login", "python", check=True)
    registered.crane("index", "set", "other", "--no-share-login", check=True)
    assert registered.crane("token", "other").returncode == 4
    registered.crane("token", "python", check=True)
    assert realm.requests("revocation") == []


def test_removing_one_of_two_that_share_keeps_the_login(registered: User, other: World) -> None:
    """It goes with the last."""
    registered.crane("index", "set", "python", "--share-login", check=True)
    add(registered, "other", other, share=True)
    registered.crane("login", "python", check=True)
    registered.crane("index", "remove", "other", check=True)
    registered.crane("token", "python", check=True)
    registered.crane("index", "remove", "python", check=True)
    assert documents(registered) == 0


def test_a_client_of_another_id_does_not_share(registered: User, other: World) -> None:
    """Sharing is between indexes for which the provider gives the same token."""
    registered.crane("index", "set", "python", "--share-login", check=True)
    add(registered, "other", other, share=True)
    registered.crane("index", "set", "other", "--audience", "https://aud.example", check=True)
    registered.crane("login", "python", check=True)
    assert registered.crane("token", "other").returncode == 4
