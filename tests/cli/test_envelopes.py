"""`--json`: one object on stdout, the same keys for every command and every end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.pips import index_of, log_in, register
from support.world import User, World

KEYS = {"crane", "command", "status", "exit_code", "data", "errors"}
SETTINGS = {
    "name", "url", "issuer", "client-id", "token-endpoint", "device-authorization-endpoint",
    "scope", "audience", "resource", "fallback", "private", "root-required", "insecure-http",
    "default",
}  # fmt: skip


@pytest.fixture
def ready(user: User, world: World) -> User:
    """Give a user who has registered the index and is logged in."""
    index = index_of(world)
    register(user, index)
    log_in(user, world.realm, index)
    return user


def envelope(user: User, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Run a command with `--json` and return what it says, checked for its form."""
    done = user.crane(*arguments, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said.keys() == KEYS
    assert said["crane"] == 1
    assert said["exit_code"] == code
    assert said["status"] == ("error" if said["errors"] else "success")
    return said


def test_index_list(ready: User) -> None:
    said = envelope(ready, "index", "list")

    assert said["command"] == "index list"
    assert [index["name"] for index in said["data"]] == ["python"]
    assert said["data"][0].keys() >= SETTINGS


def test_index_list_of_nothing(user: User) -> None:
    assert envelope(user, "index", "list")["data"] == []


def test_index_show(ready: User) -> None:
    said = envelope(ready, "index", "show", "python")

    assert said["command"] == "index show"
    assert said["data"].keys() >= SETTINGS


def test_index_set(ready: User) -> None:
    said = envelope(ready, "index", "set", "python", "--private", "secret-*")

    assert said["command"] == "index set"
    assert said["data"]["private"] == ["secret-*"]


def test_index_register(user: User, world: World) -> None:
    said = envelope(user, "index", "register", world.index_url, "--yes")

    assert said["command"] == "index register"
    assert said["data"].keys() >= SETTINGS
    assert said["data"]["issuer"] == world.realm.issuer


def test_index_remove(ready: User) -> None:
    said = envelope(ready, "index", "remove", "python")

    assert said["command"] == "index remove"
    assert said["data"].keys() == {"name", "revocation_problem"}


def test_index_import(user: User) -> None:
    file = user.home / "servers.json"
    server = {"client_id": "c", "token_url": "https://i.test/t", "device_url": "https://i.test/d"}
    file.write_text(json.dumps({"https://crane.example.test/python": server}))

    said = envelope(user, "index", "import", str(file))

    assert said["command"] == "index import"
    assert [index["url"] for index in said["data"]] == ["https://crane.example.test/python"]


def test_index_release(ready: User) -> None:
    said = envelope(ready, "index", "release", "python", "Secret_Lib")

    assert said["command"] == "index release"
    assert said["data"] == {"project": "secret-lib", "known": False}


def test_login_and_logout(ready: User) -> None:
    login = envelope(ready, "login")
    logout = envelope(ready, "logout")

    assert login["command"] == "login"
    assert login["data"] == {"index": "python", "account": "ada", "new": False}
    assert logout["command"] == "logout"


def test_status(ready: User) -> None:
    said = envelope(ready, "status")

    assert said["command"] == "status"
    assert said["data"].keys() >= {"indexes", "storage"}
    assert said["data"]["indexes"][0].keys() >= {
        "name", "url", "logged_in", "account", "access_expires_at", "session_expires_at",
        "answer", "exit_code",
    }  # fmt: skip


FAILING = {
    "index show nothing": (5, "not-registered"),
    "index remove nothing": (5, "not-registered"),
    "index set nothing --default": (5, "not-registered"),
    "index release nothing x": (5, "not-registered"),
    "index register not-a-url": (6, "invalid-url"),
    "index register http://crane.example.test/python": (7, "insecure-url"),
    "login": (5, "not-registered"),
    "login nothing": (5, "not-registered"),
    "logout nothing": (5, "not-registered"),
    "status nothing": (5, "not-registered"),
}


@pytest.mark.parametrize(("line", "expected"), FAILING.items(), ids=FAILING)
def test_a_failure_has_the_same_keys_and_its_code(
    line: str, expected: tuple[int, str], user: User
) -> None:
    code, name = expected

    said = envelope(user, *line.split(), code=code)

    assert said["data"] is None
    assert [error.keys() for error in said["errors"]] == [{"code", "message", "hint"}]
    assert said["errors"][0]["code"] == name
    assert line.startswith(said["command"])


@pytest.mark.parametrize("line", ["index list", "status", "index show x", "login"])
def test_a_broken_configuration_is_an_envelope_too(line: str, user: User) -> None:
    user.config_file.parent.mkdir(parents=True)
    user.config_file.write_text("[index\n")

    said = envelope(user, *line.split(), code=3)

    assert said["errors"][0]["code"] == "config-broken"


def test_no_envelope_holds_a_token(ready: User) -> None:
    (session,) = ready.sessions.glob("*.json")
    tokens = json.loads(session.read_text())["tokens"]

    for line in ("index list", "index show python", "login", "status", "logout"):
        done = ready.crane(*line.split(), "--json")
        for name in ("access_token", "refresh_token"):
            assert tokens[name] not in done.stdout + done.stderr
