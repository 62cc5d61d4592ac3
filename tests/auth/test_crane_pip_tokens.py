"""`crane index import --tokens`: the logins of crane-pip, taken over once."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from auth.stored import refreshes, stored
from idp import flows
from idp.oidc import Realm
from support.world import User, World


def local(seconds: float) -> str:
    """Return a time as crane-pip writes it: local, without a zone."""
    return (
        (datetime.now(UTC) + timedelta(seconds=seconds))
        .astimezone()
        .replace(tzinfo=None)
        .isoformat()
    )


@pytest.fixture
def answer(realm: Realm) -> dict[str, Any]:
    """Give the tokens of a login that crane-pip has made."""
    with httpx2.Client(trust_env=False, timeout=30) as http:
        return flows.log_in(http, realm)


@pytest.fixture
def entry(answer: dict[str, Any]) -> dict[str, Any]:
    """Give them as crane-pip stores them."""
    return {
        "access_token": answer["access_token"],
        "access_token_exp_time": local(300),
        "refresh_token": answer["refresh_token"],
        "refresh_token_exp_time": local(1800),
    }


@pytest.fixture
def former(world: World, user: User) -> Callable[..., Path]:
    """Give what makes the user one of crane-pip, with a registration and these logins."""
    realm = world.realm
    servers = user.home / ".local" / "share" / "crane" / "python" / "servers.json"
    servers.parent.mkdir(parents=True)
    registration = {
        "client_id": realm.client_id,
        "token_url": realm.token_url,
        "device_url": realm.device_url,
    }
    servers.write_text(json.dumps({world.index_url: registration}))

    def make(content: Any) -> Path:
        tokens = user.home / ".cache" / "crane" / "python" / "tokens.json"
        tokens.parent.mkdir(parents=True, exist_ok=True)
        tokens.write_text(content if isinstance(content, str) else json.dumps(content))
        return tokens

    return make


def take_over(user: User, *more: str) -> str:
    """Import registrations and logins, and return what is said."""
    return user.crane("index", "import", "--tokens", *more, check=True).stdout


def test_a_login_is_taken_over(
    world: World, user: User, former: Callable[..., Path], entry: dict[str, Any], realm: Realm
) -> None:
    """No new login; the token, its end and the refresh token are those of crane-pip."""
    file = former({world.index_url: entry})
    before = file.read_bytes()
    assert "took over the login of python" in take_over(user)
    assert file.read_bytes() == before
    assert user.crane("token", check=True).stdout.strip() == entry["access_token"]
    tokens = stored(user).tokens
    assert tokens.expires_at == pytest.approx(tokens.issued_at + 300, abs=30)
    assert tokens.refresh_expires_at == pytest.approx(tokens.issued_at + 1800, abs=30)
    assert tokens.account == "ada"
    assert realm.requests("device_authorization") != []  # of crane-pip's own login
    user.crane("status", check=True)


def test_without_being_asked_no_login_is_taken_over(
    world: World, user: User, former: Callable[..., Path], entry: dict[str, Any]
) -> None:
    former({world.index_url: entry})
    user.crane("index", "import", check=True)
    assert user.crane("token").returncode == 4


def test_an_expired_token_is_refreshed_with_what_was_taken_over(
    world: World, user: User, former: Callable[..., Path], entry: dict[str, Any], realm: Realm
) -> None:
    former({world.index_url: entry | {"access_token_exp_time": local(-100)}})
    take_over(user)
    token = user.crane("token", check=True).stdout.strip()
    assert token != entry["access_token"]
    assert [r.status for r in refreshes(realm)] == [200]


def test_a_second_time_takes_nothing(
    world: World, user: User, former: Callable[..., Path], entry: dict[str, Any], realm: Realm
) -> None:
    """The refresh token of the file has been used since: our own login is never replaced."""
    former({world.index_url: entry | {"access_token_exp_time": local(-100)}})
    take_over(user)
    token = user.crane("token", check=True).stdout
    assert "no login to take over" in take_over(user)
    assert user.crane("token", check=True).stdout == token
    assert len(refreshes(realm)) == 1


@pytest.mark.parametrize("spelled", ["{}/", "{}/simple", "{}/simple/"])
def test_the_index_however_it_is_spelled(
    world: World, user: User, former: Callable[..., Path], entry: dict[str, Any], spelled: str
) -> None:
    former({spelled.format(world.index_url): entry})
    assert "took over" in take_over(user)
    user.crane("token", check=True)


def test_a_login_of_another_index_is_left_alone(
    user: User, former: Callable[..., Path], entry: dict[str, Any]
) -> None:
    """Nothing but what a registered index is named for."""
    former({"https://other.example/python": entry, "not a url": entry})
    assert "no login to take over" in take_over(user)
    assert user.crane("token").returncode == 4


def test_another_file(world: World, user: User, entry: dict[str, Any], former: Any) -> None:
    """As from a backup, named on the command line."""
    former({})
    elsewhere = user.home / "old-tokens.json"
    elsewhere.write_text(json.dumps({world.index_url: entry}))
    assert "took over" in take_over(user, str(elsewhere))


def test_tokens_without_a_named_end(
    world: World, user: User, former: Callable[..., Path], entry: dict[str, Any]
) -> None:
    """crane-pip writes null for what never ends."""
    former({world.index_url: entry | {"refresh_token_exp_time": None}})
    take_over(user)
    assert stored(user).tokens.refresh_expires_at is None


def test_a_login_without_a_refresh_token(
    world: World, user: User, former: Callable[..., Path], entry: dict[str, Any]
) -> None:
    former({world.index_url: entry | {"refresh_token": None, "refresh_token_exp_time": None}})
    take_over(user)
    user.crane("token", check=True)


BROKEN_ENTRIES: list[Any] = [
    {"access_token": None}, {"access_token": 5}, {"access_token": "a b"}, {"access_token": "a\nb"},
    {"refresh_token": 5}, {"refresh_token": "a\r\nb"}, {"access_token": ""},
]  # fmt: skip


@pytest.mark.parametrize("changes", BROKEN_ENTRIES, ids=ascii)
def test_an_entry_that_is_no_login(
    world: World, user: User, former: Callable[..., Path], entry: dict[str, Any], changes: Any
) -> None:
    """Exit code 3 and one line with what to do; no half login, no token in the line."""
    former({world.index_url: entry | changes})
    done = user.crane("index", "import", "--tokens")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "crane login" in done.stderr
    assert entry["refresh_token"] not in done.stderr
    assert not list(user.sessions.glob("*.json"))


@pytest.mark.parametrize("stamp", ["yesterday", "", "9999-99-99T00:00:00"])
def test_an_end_that_cannot_be_read_counts_as_past(
    world: World, user: User, former: Callable[..., Path], entry: dict[str, Any], stamp: str,
    realm: Realm,
) -> None:  # fmt: skip
    """The token is renewed rather than trusted."""
    former({world.index_url: entry | {"access_token_exp_time": stamp}})
    take_over(user)
    user.crane("token", check=True)
    assert len(refreshes(realm)) == 1


@pytest.mark.parametrize("value", ["0001-01-01T00:00:00", "9999-12-31T23:59:59", 5, [], True])
def test_an_odd_end_is_no_crash(
    world: World, user: User, former: Callable[..., Path], entry: dict[str, Any], value: Any
) -> None:
    former({world.index_url: entry | {"access_token_exp_time": value}})
    done = user.crane("index", "import", "--tokens")
    assert done.returncode == 0, done.stderr
    user.crane("token", check=True)


@pytest.mark.parametrize(
    "content", ["", "[]", "null", "5", '"x"', "{", "[" * 100_000, '{"a": "\\ud800"}']
)
def test_a_file_that_is_no_tokens_json(
    user: User, former: Callable[..., Path], content: str
) -> None:
    """Named, with one line; the registrations are imported all the same."""
    former(content)
    done = user.crane("index", "import", "--tokens")
    assert "Traceback" not in done.stderr
    if content.startswith('{"a"'):
        assert done.returncode == 0
    else:
        assert done.returncode == 3
        assert "tokens.json" in done.stderr
        assert done.stderr.count("\n") == 1
    assert "python" in user.crane("index", "list", check=True).stdout


def test_no_file_at_all(user: User, former: Callable[..., Path]) -> None:
    """The place that was looked at is named."""
    former({}).unlink()
    done = user.crane("index", "import", "--tokens")
    assert done.returncode == 3
    assert "tokens.json" in done.stderr


@pytest.mark.parametrize("value", [None, [], "x", 5])
def test_an_entry_of_another_kind_is_none(
    world: World, user: User, former: Callable[..., Path], value: Any
) -> None:
    former({world.index_url: value})
    assert "no login to take over" in take_over(user)
