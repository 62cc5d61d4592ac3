"""Several accounts at one index, and one login for several indexes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
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


# --- who has logged in -------------------------------------------------------------------------

ELSE = "crane: ada has logged in at python, not "


def notices(stderr: str) -> list[str]:
    """Return the lines that name another user than the account."""
    return [line for line in stderr.splitlines() if " has logged in at " in line]


def status_of(user: User) -> tuple[str, dict[str, object]]:
    """Return what `crane status` says of the one index: its line, and its JSON."""
    line = user.crane("status").stdout.splitlines()[1]
    return line, json.loads(user.crane("status", "--json").stdout)["data"]["indexes"][0]


def test_the_account_is_a_hint_for_the_login_page(registered: User, realm: Realm) -> None:
    """OpenID Connect Core §3.1.2.1: for a login in the browser, where one is named."""
    registered.crane("login", "--grant", "authorization-code", check=True)
    log_in(registered, "bob", "--grant", "authorization-code")
    first, second = realm.requests("authorization")
    assert "login_hint" not in first.params
    assert second.params["login_hint"] == "bob"


def test_the_device_grant_has_no_such_hint(registered: User, realm: Realm) -> None:
    """RFC 8628 §3.1 knows none."""
    log_in(registered, "bob")
    assert "login_hint" not in realm.requests("device_authorization")[0].params


def test_who_has_logged_in_is_said_with_the_account(registered: User) -> None:
    """A name of the user's own may stand for anybody: said once, refused never."""
    first = registered.crane("login", "--account", "work", check=True)
    assert first.stdout == "logged in to python as ada (account work)\n"
    (notice,) = notices(first.stderr)
    assert notice.startswith(f"{ELSE}work;")
    assert notice.endswith("crane login python --account work --force")
    again = registered.crane("login", "--account", "work", check=True)
    assert again.stdout == "already logged in to python as ada (account work)\n"
    assert again.stderr == ""


def test_nobody_is_said_twice(registered: User) -> None:
    """Without an account, or with one that is the login name, there is nothing to add."""
    assert registered.crane("login", check=True).stdout == "logged in to python as ada\n"
    done = registered.crane("login", "--account", "bob", check=True, TEST_USER="bob")
    assert done.stdout == "logged in to python as bob\n"
    assert notices(done.stderr) == []


def jwt(claims: dict[str, str]) -> str:
    """Return an access token that says this."""
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{body}.c2ln"


CLAIMS = {"preferred_username": "ada", "email": "ada@example.com", "sub": "u-1"}


@pytest.mark.parametrize(
    ("account", "token", "is_another"),
    [
        ("ada", jwt(CLAIMS), False),
        ("Ada@Example.com", jwt(CLAIMS), False),
        ("u-1", jwt(CLAIMS), False),
        ("bob", jwt(CLAIMS), True),
        ("bob@example.com", jwt(CLAIMS), True),
        ("ada", jwt({"sub": "ada"}), False),
        ("bob", "opaque", False),
        ("bob", "a.b.c", False),
    ],
)
def test_every_name_of_the_user_counts(
    registered: User, realm: Realm, account: str, token: str, is_another: bool
) -> None:
    """User name, e-mail address and subject; a token that says nothing proves nothing."""
    realm.patch({"access_token": token}, unset=["id_token"], grant=DEVICE_GRANT, times=None)
    done = registered.crane("login", "--account", account, check=True)
    said = [line for line in notices(done.stderr) if line.startswith(f"{ELSE}{account};")]
    assert len(said) == len(notices(done.stderr)) == is_another


def test_an_opaque_access_token_beside_an_id_token(registered: User, realm: Realm) -> None:
    """The ID token has named the user then."""
    realm.patch({"access_token": "opaque"}, grant=DEVICE_GRANT, times=None)
    assert notices(registered.crane("login", "--account", "ada", check=True).stderr) == []
    assert notices(registered.crane("login", "--account", "bob", check=True).stderr) != []


def test_the_status_shows_user_and_account(registered: User) -> None:
    """Also where nobody is logged in: the account is what a login would be for."""
    registered.crane("index", "set", "python", "--account", "work", check=True)
    line, data = status_of(registered)
    assert "nobody (account work)" in line
    assert (data["account"], data["account_label"]) == (None, "work")
    registered.crane("login", check=True)
    line, data = status_of(registered)
    assert "ada (account work)" in line
    assert (data["account"], data["account_label"]) == ("ada", "work")


def test_a_name_that_looks_like_markup_is_shown_as_it_is(registered: User) -> None:
    """It may come from the provider: no command is to fail about it."""
    registered.crane("index", "set", "python", "--account", "[/b]", check=True)
    done = registered.crane("status")
    assert done.returncode == 4
    assert "(account [/b])" in done.stdout


# --- indexes of one server, with accounts of their own -----------------------------------------


@pytest.fixture
def beside(registered: User, world: World) -> User:
    """Give a user with a second index of the same server, for which bob is logged in.

    The first names no account; ada is logged in there without a name, and as `own`.
    """
    folder = world.private.parent / "second"
    folder.mkdir()
    second = Repository("second", folder, read_groups=frozenset({"everyone"}))
    world.crane.repositories["second"] = second
    index = Index(
        "second",
        f"{world.crane_url}/second",
        issuer=world.realm.issuer,
        grant="device",
        account="bob",
    )
    ConfigStore(registered.config_file).save(index)
    registered.crane("login", "second", check=True, TEST_USER="bob")
    registered.crane("login", "python", check=True)
    registered.crane("login", "python", "--account", "own", check=True)
    assert documents(registered) == 3
    return registered


ENDINGS = {
    "logout": ["logout", "python"],
    "remove": ["index", "remove", "python"],
    "set": ["index", "set", "python", "--scope", "openid"],
}


@pytest.mark.parametrize("command", ENDINGS.values(), ids=ENDINGS)
def test_the_other_index_stays_logged_in(beside: User, realm: Realm, command: list[str]) -> None:
    """What is left is what another registered index uses, and no more."""
    beside.crane(*command, check=True)
    assert documents(beside) == 1
    beside.crane("token", "second", check=True)
    assert who(beside, "second") == "bob"
    hints = [r.params["token_type_hint"] for r in realm.requests("revocation")]
    assert hints.count("refresh_token") == 2


def test_registering_again_keeps_the_other_index_logged_in(beside: User, world: World) -> None:
    """With another client, for which the old tokens are not."""
    again = ["--client-id", "crane-pip-2", "--yes"]
    beside.crane("index", "register", world.index_url, *again, check=True)
    assert documents(beside) == 1
    beside.crane("token", "second", check=True)


ENDINGS_OF_THE_OTHER = {
    "logout": ["logout", "second"],
    "remove": ["index", "remove", "second"],
    "set": ["index", "set", "second", "--scope", "openid"],
}


@pytest.mark.parametrize("command", ENDINGS_OF_THE_OTHER.values(), ids=ENDINGS_OF_THE_OTHER)
def test_an_index_with_an_account_ends_that_one(beside: User, command: list[str]) -> None:
    """Accounts that no index names are of the index that names none."""
    beside.crane(*command, check=True)
    assert documents(beside) == 2
    beside.crane("token", "python", check=True)
    beside.crane("index", "remove", "python", check=True)
    assert documents(beside) == 0


def test_the_last_of_two_leaves_no_account(beside: User) -> None:
    """Nobody could end what is left, once no index is registered there."""
    beside.crane("index", "set", "python", "--account", "own", check=True)
    beside.crane("index", "remove", "python", check=True)
    assert documents(beside) == 2
    beside.crane("index", "remove", "second", check=True)
    assert documents(beside) == 0


def test_removing_one_of_two_that_name_the_same_account(beside: User) -> None:
    """It is the other's login, too."""
    beside.crane("index", "set", "python", "--account", "bob", check=True)
    beside.crane("index", "remove", "python", check=True)
    beside.crane("token", "second", check=True)
    assert documents(beside) == 3


def name_no_account(user: User, name: str) -> None:
    """Take the account out of a registration."""
    store = ConfigStore(user.config_file)
    store.save(replace(store.load().find(name), account=None))


def test_removing_one_of_two_that_name_none(beside: User) -> None:
    """Every account there is one that the other may choose."""
    name_no_account(beside, "second")
    beside.crane("index", "remove", "second", check=True)
    beside.crane("token", "python", check=True)
    assert documents(beside) == 3


def test_logging_out_of_one_of_two_that_name_none(beside: User) -> None:
    """They have one login, which was to end: in each of them, with every account."""
    name_no_account(beside, "second")
    done = beside.crane("logout", "second", check=True)
    assert done.stdout == "logged out of second, and of python, with the same login\n"
    assert documents(beside) == 0


def test_logging_out_of_a_login_that_two_indexes_use(beside: User) -> None:
    """It was asked for, so it ends; whom that concerns too is said."""
    beside.crane("logout", "second", check=True)
    beside.crane("index", "set", "second", "--account", "own", check=True)
    done = beside.crane("logout", "python", "--account", "own", check=True)
    assert done.stdout == "logged out of python, and of second, with the same login\n"
    assert beside.crane("token", "second").returncode == 4
    beside.crane("token", "python", check=True)


def test_logging_out_of_all_leaves_nothing(beside: User) -> None:
    """No index is another one then."""
    done = beside.crane("logout", "--all", check=True)
    assert done.stdout.splitlines() == ["logged out of python", "logged out of second"]
    assert documents(beside) == 0


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
