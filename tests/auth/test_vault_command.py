"""Where logins are kept, as a user sees it: CRANE_VAULT, `crane vault`, `crane status`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from auth.processes import Crane, cranes, until_said
from auth.stored import expire, refreshes
from idp.oidc import DEVICE_GRANT, Realm
from support.world import CRANE, User, World

from crane_devserver import Fault

TESTS = Path(__file__).parents[1]
REAL = "keyrings.alt.file.PlaintextKeyring"


def with_keyring(user: User, backend: str) -> User:
    """Let a user's processes find this backend: one of ours by its class, or a real one."""
    ours = "." not in backend
    user.variables |= {
        "PYTHONPATH": str(TESTS),
        "PYTHON_KEYRING_BACKEND": f"auth.backends.{backend}" if ours else backend,
        "CRANE_TEST_KEYRING": str(user.home / "keyring.json"),
    }
    return user


def keyring_text(user: User) -> str:
    """Return what the user's keyring holds, whichever backend it is."""
    files = [user.home / "keyring.json", *user.home.rglob("keyring_pass.cfg")]
    return "".join(f.read_text() for f in files if f.exists())


def documents(user: User) -> list[Path]:
    """Return the user's private files with secrets."""
    return list(user.sessions.glob("*.json"))


def place(user: User, **extra: str) -> str:
    """Return where `crane status` says that logins are kept."""
    return str(json.loads(user.crane("status", "--json", **extra).stdout)["data"]["storage"])


# --- which one is used -------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["WindowsLike", REAL])
def test_a_keyring_that_works_is_used(registered: User, realm: Realm, backend: str) -> None:
    """Login, refresh and logout go there; no file of ours holds a token."""
    user = with_keyring(registered, backend)
    realm.patch({"expires_in": 0}, grant=DEVICE_GRANT, times=None)
    user.crane("login", check=True)
    held = keyring_text(user)
    first = user.crane("token", check=True).stdout
    assert user.crane("token", check=True).stdout == first
    assert len(refreshes(realm)) == 1
    assert keyring_text(user) != held
    assert documents(user) == []
    assert "the keyring" in place(user)
    assert "logins are kept in the keyring" in user.crane("status").stdout
    user.crane("logout", check=True)
    assert user.crane("token").returncode == 4


def test_nothing_is_left_in_the_keyring(registered: User, realm: Realm) -> None:
    """Neither after a refresh, whose parts take the place of the old ones, nor after a logout."""
    user = with_keyring(registered, "WindowsLike")
    realm.patch({"expires_in": 0}, grant=DEVICE_GRANT, times=None)
    user.crane("login", check=True)
    parts = len(json.loads(keyring_text(user)))
    user.crane("token", check=True)
    assert len(json.loads(keyring_text(user))) == parts
    user.crane("logout", check=True)
    assert json.loads(keyring_text(user)) == {}


def test_without_a_keyring_there_are_private_files(logged_in: User) -> None:
    """`crane status` says so, with the folder."""
    assert place(logged_in) == f"private files in {logged_in.sessions}"
    assert len(documents(logged_in)) == 1


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        ("Hanging", "no answer in 3 seconds"),
        ("HangingAtStart", "no answer in 3 seconds"),
        ("Raising", "RuntimeError"),
        ("NoSuchClass", "AttributeError"),
    ],
)
def test_a_keyring_that_does_not_work_is_said_once(
    registered: User, backend: str, reason: str
) -> None:
    """After three seconds at most the login goes on, to private files, for good."""
    user = with_keyring(registered, backend)
    began = time.monotonic()
    done = user.crane("login", check=True)
    assert time.monotonic() - began < 20
    said = [line for line in done.stderr.splitlines() if "keyring" in line]
    assert len(said) == 1
    assert reason in said[0]
    assert "private files" in said[0]
    assert len(documents(user)) == 1
    for command in (["token"], ["status"], ["login", "--force"], ["logout"]):
        again = user.crane(*command)
        assert again.returncode == 0, again.stderr
        assert "keyring" not in again.stderr


def test_a_keyring_that_hangs_at_a_write(registered: User) -> None:
    """It could be read, so it was chosen: the login fails with what to set, and does not hang."""
    user = with_keyring(registered, "HangingAtWrites")
    done = user.crane("login")
    assert done.returncode == 8
    assert done.stderr.splitlines()[-1] == (
        "crane: the keyring does not work (no answer in 3 seconds); "
        "unlock it, or set CRANE_VAULT=file"
    )
    user.crane("login", check=True, CRANE_VAULT="file")


def test_a_backend_that_nobody_should_use_is_used_only_where_it_was_chosen(
    registered: User,
) -> None:
    """keyrings.alt in an environment must not move logins from private files to plain text."""
    user = with_keyring(registered, "PlainText")
    user.crane("login", check=True)
    assert documents(user) == []
    user.crane("vault", "file", check=True)
    user.crane("logout", check=True)
    (user.sessions.parent / "vault").unlink()
    without = Unset(user.home, user.issuer, user.variables)
    without.crane("login", check=True)
    assert len(documents(user)) == 1, "keyrings.alt, which is installed here, was taken"


class Unset(User):
    """A user who has chosen no backend: the `keyring` library looks for one."""

    @property
    def environ(self) -> dict[str, str]:
        return {k: v for k, v in super().environ.items() if k != "PYTHON_KEYRING_BACKEND"}


def test_a_keyring_that_is_gone_later(registered: User) -> None:
    """Logins are in one that does not answer any more: exit code 8, and what to do."""
    user = with_keyring(registered, "WindowsLike")
    user.crane("login", check=True)
    gone = user.crane("token", PYTHON_KEYRING_BACKEND="keyring.backends.fail.Keyring")
    assert gone.returncode == 8
    assert gone.stderr.count("\n") == 1
    assert "CRANE_VAULT=file" in gone.stderr
    user.crane("token", check=True)


# --- CRANE_VAULT -------------------------------------------------------------------------------


def test_memory_outlives_no_process(registered: User) -> None:
    """For a container that is to keep nothing."""
    registered.crane("login", check=True, CRANE_VAULT="memory")
    assert documents(registered) == []
    assert registered.crane("token", CRANE_VAULT="memory").returncode == 4
    assert "memory" in place(registered, CRANE_VAULT="memory")


@pytest.mark.parametrize("value", ["nonsense", "File", "keyring "])
@pytest.mark.parametrize("command", [["login"], ["token"], ["status"], ["vault"], ["logout"]])
def test_nonsense_is_refused(registered: User, value: str, command: list[str]) -> None:
    """Exit code 2 with the values there are; nothing is guessed about secrets."""
    done = registered.crane(*command, CRANE_VAULT=value)
    assert done.returncode == 2
    assert "file, keyring or memory" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_keyring_is_demanded_where_none_is(registered: User) -> None:
    """Exit code 8: it never falls back to files behind the user's back."""
    done = registered.crane("login", CRANE_VAULT="keyring")
    assert done.returncode == 8
    assert "no keyring works here" in done.stderr
    assert documents(registered) == []


def disagreements(stderr: str) -> list[str]:
    """Return the lines about a variable against what is recorded."""
    return [line for line in stderr.splitlines() if "CRANE_VAULT=" in line]


def test_a_variable_that_disagrees_is_said(registered: User) -> None:
    """By status, login and vault, in one line: other processes find other logins."""
    user = with_keyring(registered, "WindowsLike")
    user.crane("login", check=True)
    for command in (["status"], ["status", "--json"], ["login"], ["vault"], ["vault", "file"]):
        done = user.crane(*command, CRANE_VAULT="memory")
        (said,) = disagreements(done.stderr)
        recorded = "file" if command[-1] == "file" else "keyring"
        assert f"{user.sessions.parent / 'vault'} says {recorded}" in said
        assert said.startswith("crane: CRANE_VAULT=memory is set here")
    for value in ("", "file"):
        for name in ("status", "login", "vault"):
            assert disagreements(user.crane(name, CRANE_VAULT=value).stderr) == []


def test_the_variable_counts_more_than_what_was_decided(registered: User) -> None:
    """And changes nothing about it."""
    user = with_keyring(registered, "WindowsLike")
    user.crane("login", check=True)
    assert user.crane("token", CRANE_VAULT="file").returncode == 4
    user.crane("login", check=True, CRANE_VAULT="file")
    assert len(documents(user)) == 1
    assert "the keyring" in place(user)


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", 0), (b"file", 0), (b"\xff", 3), (b"cellar", 3), (b"keyring file", 3)],
)
def test_a_decision_that_somebody_has_edited(logged_in: User, content: bytes, code: int) -> None:
    """Said in one line, with the file and what to do; nobody guesses where secrets are."""
    decision = logged_in.sessions.parent / "vault"
    decision.touch(0o600)
    decision.write_bytes(content)
    for command in ("token", "status", "vault", "login", "logout")[: 5 if code else 1]:
        done = logged_in.crane(command)
        assert done.returncode == code
        assert done.stderr.count("\n") == bool(code)
        assert (str(decision) in done.stderr) == bool(code)
        assert ("write file or keyring into it" in done.stderr) == bool(code)
    logged_in.crane("token", check=True, CRANE_VAULT="file")


def test_a_decision_that_others_may_read_or_write(logged_in: User) -> None:
    """Whoever can change it could send the next login to another place: exit code 10."""
    decision = logged_in.sessions.parent / "vault"
    decision.touch()
    decision.chmod(0o664)
    done = logged_in.crane("token")
    assert done.returncode == 10
    assert f"chmod go= '{decision}'" in done.stderr


# --- moving ------------------------------------------------------------------------------------


def test_moving_there_and_back_loses_nothing(registered: User, realm: Realm) -> None:
    """Every account, and the client secret; each time nothing is left at the old place."""
    user = with_keyring(registered, "WindowsLike")
    user.crane("login", "--account", "ada", check=True, CRANE_VAULT="file")
    user.crane("login", "--account", "bob", check=True, CRANE_VAULT="file", TEST_USER="bob")
    user.crane("login", check=True, CRANE_VAULT="file")
    secret = user.run("sh", "-c", "echo s3cret | crane index secret python", CRANE_VAULT="file",
                      PATH=path_with_crane(user))  # fmt: skip
    assert secret.returncode == 0, secret.stderr
    user.crane("vault", "file", check=True)
    held = {f.name: f.read_bytes() for f in documents(user)}
    assert len(held) == 4

    assert moved(user, "keyring") == 4
    assert documents(user) == []
    assert "the keyring" in user.crane("vault").stdout
    assert moved(user, "keyring") == 0
    assert moved(user, "file") == 4
    assert {f.name: f.read_bytes() for f in documents(user)} == held
    assert json.loads(keyring_text(user)) == {}
    user.crane("token", check=True)
    assert refreshes(realm) == []


def path_with_crane(user: User) -> str:
    """Return a PATH on which the tests' crane is."""
    return f"{Path(CRANE).parent}:{user.environ['PATH']}"


def moved(user: User, target: str) -> int:
    """Move, and return how many documents that took."""
    data: dict[str, Any] = json.loads(user.crane("vault", target, "--json", check=True).stdout)
    return int(data["data"]["moved"])


def test_a_moved_login_is_refreshed_at_its_new_place(logged_in: User, realm: Realm) -> None:
    """An expired one, too: what was moved is the whole session."""
    expire(logged_in)
    user = with_keyring(logged_in, REAL)
    assert moved(user, "keyring") == 1
    first = user.crane("token", check=True).stdout
    assert user.crane("token", check=True).stdout == first
    assert len(refreshes(realm)) == 1
    assert documents(user) == []


def test_a_running_serve_goes_on_after_a_move(registered: User, world: World, realm: Realm) -> None:
    """There and back: it refreshes what is at the new place, and nobody has to log in again."""
    user = with_keyring(registered, "WindowsLike")
    world.add_private("secret-lib")
    user.crane("login", check=True, CRANE_VAULT="file")
    user.crane("vault", "file", check=True)
    with cranes(user, 1, "serve", "--port", "0", CI="true") as (serve,):
        url = served_at(serve)
        for number, target in enumerate(("keyring", "file"), start=1):
            assert moved(user, target) == 1
            world.crane.faults.append(Fault("/python/secret-lib/", status=401, times=1))
            assert httpx2.get(f"{url}secret-lib/", trust_env=False).status_code == 200
            assert [r.status for r in refreshes(realm)] == [200] * number
            assert len(documents(user)) == (target == "file")
    user.crane("token", check=True)


def served_at(serve: Crane) -> str:
    """Return the URL that `crane serve` prints for its index, once it has."""
    deadline = time.monotonic() + 30
    while "/simple/" not in serve.stdout:
        assert time.monotonic() < deadline, serve.stderr
        time.sleep(0.02)
    return next(word for word in serve.stdout.split() if word.endswith("/python/simple/"))


def test_moving_to_a_keyring_that_does_not_work_changes_nothing(logged_in: User) -> None:
    """Exit code 8; the files are still there, and still used."""
    for backend in ("Hanging", "HangingAtWrites"):
        user = with_keyring(logged_in, backend)
        done = user.crane("vault", "keyring")
        assert done.returncode == 8
        assert done.stderr.count("\n") == 1
        user.crane("token", check=True)
        assert len(documents(user)) == 1


def test_a_move_waits_for_a_refresh(logged_in: User, realm: Realm) -> None:
    """Or the rotated tokens would be deleted with the old place."""
    user = with_keyring(logged_in, "WindowsLike")
    (user.sessions.parent / "vault").write_text("file\n")
    (user.sessions.parent / "vault").chmod(0o600)
    expire(user)
    realm.quirk("hold_answer", grant="refresh_token")
    with cranes(user, 1, "token") as (refreshing,):
        realm.wait_for("token", grant="refresh_token")
        with cranes(user, 1, "vault", "keyring") as (moving,):
            until_said([moving], "waiting for another crane process", 1)
            realm.release()
            assert refreshing.wait() == 0
            token = refreshing.stdout
            assert moving.wait() == 0
    assert user.crane("token", check=True).stdout == token
    assert len(refreshes(realm)) == 1
