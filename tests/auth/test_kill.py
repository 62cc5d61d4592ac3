"""kill -9 at each step of a refresh and of a login: a new login at most, and never a loop."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from auth.crashing import STEPS
from auth.kit import Desk, store_in, token
from auth.kit import logged_in as at_logged_in_desk
from auth.processes import cranes, until_said
from auth.stored import assert_none_used_twice, expire, refreshes, stored
from idp.oidc import Realm
from support.world import SECONDS, User

from crane_core.auth.login import Logout
from crane_core.auth.model import Session, session_key

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")

CRASHING = str(Path(__file__).with_name("crashing.py"))
# Where the answer is lost, or kept in a file that nobody looks for.
LOST = {"after-answer", "before-replace"}


def killed(user: User, step: str, *command: str) -> None:
    """Run crane until it dies at that step."""
    done = subprocess.run(
        [sys.executable, CRASHING, step, *command],
        env=user.environ,
        cwd=user.home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    assert done.stdout == ""


def leftovers(user: User) -> list[Path]:
    """Return the temporary files in the user's folder of sessions."""
    return list(user.sessions.glob(".*.tmp"))


@pytest.mark.parametrize("step", STEPS)
def test_killed_while_refreshing(logged_in: User, realm: Realm, step: str) -> None:
    """Afterwards crane works, or asks once for a login; no refresh token is redeemed twice."""
    expire(logged_in)
    killed(logged_in, step, "token")
    sent = 0 if step == "before-send" else 1
    assert len(refreshes(realm)) == sent

    after = [logged_in.crane("token") for _ in range(3)]

    if step in LOST:
        assert [done.returncode for done in after] == [4] * 3
        assert [r.error for r in refreshes(realm)] == [None, "invalid_grant"]
        logged_in.crane("login", check=True)
        logged_in.crane("token", check=True)
    else:
        assert [done.returncode for done in after] == [0] * 3, after[0].stderr
        assert len(refreshes(realm)) == 1
    assert_none_used_twice(realm)


@pytest.mark.parametrize("step", STEPS)
def test_killed_while_logging_in(registered: User, realm: Realm, step: str) -> None:
    """Nobody is logged in, or somebody is, whole; the next login is not in the way of anything."""
    killed(registered, step, "login")
    done = registered.crane("token")
    assert done.returncode == (0 if step in {"after-replace", "after-write"} else 4), done.stderr
    registered.crane("login", "--force", check=True)
    registered.crane("token", check=True)


@pytest.mark.parametrize("step", ["before-replace", "after-replace", "after-write"])
def test_killed_while_logging_in_anew_keeps_an_old_or_the_new_login(
    logged_in: User, realm: Realm, step: str
) -> None:
    """Both are good: a login does not end the one before."""
    old = logged_in.crane("token", check=True).stdout
    killed(logged_in, step, "login", "--force")
    now = logged_in.crane("token", check=True).stdout
    assert (now == old) == (step == "before-replace")
    expire(logged_in)
    logged_in.crane("token", check=True)
    assert_none_used_twice(realm)


def test_what_a_killed_process_leaves_is_private_and_goes_with_the_logout(
    logged_in: User,
) -> None:
    """The temporary file holds the newest tokens: nobody else reads it, and it does not stay."""
    expire(logged_in)
    killed(logged_in, "before-replace", "token")
    (file,) = leftovers(logged_in)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["tokens"]["refresh_token"]
    logged_in.crane("logout", check=True)
    assert leftovers(logged_in) == []


async def refresh_by_another_that_is_killed(desk: Desk) -> Session:
    """Refresh in another process, which dies between the document and its mark."""
    other = desk.another_broker()
    other._store._renew_mark = lambda _: None  # type: ignore[method-assign]
    await other.access_token(desk.index, rejected=desk.session.tokens.access_token)
    newest = store_in(desk.folder).read(session_key(desk.index))
    assert newest is not None
    assert newest != desk.session, "this process has seen the new document, as nothing told it to"
    return newest


def test_a_killed_refresh_does_not_mislead_a_process_that_lives_on(
    realm: Realm, folder: Path
) -> None:
    """It has read the old tokens before: under the lock it reads the document itself."""

    async def job(desk: Desk) -> None:
        first = await token(desk)
        newest = await refresh_by_another_that_is_killed(desk)
        assert await token(desk, rejected=first) == newest.tokens.access_token
        assert desk.refreshes == 1

    at_logged_in_desk(realm, folder, job)


def test_a_killed_refresh_does_not_mislead_a_logout(realm: Realm, folder: Path) -> None:
    """The refresh token that is revoked is the newest, not the one that was read before."""

    async def job(desk: Desk) -> None:
        newest = await refresh_by_another_that_is_killed(desk)
        assert newest.tokens.refresh_token is not None
        await Logout(desk.context).run(desk.index)
        revoked = [r.params["token"] for r in realm.requests("revocation")]
        assert newest.tokens.refresh_token.reveal() in revoked

    at_logged_in_desk(realm, folder, job)


def test_a_stopped_process_holds_the_lock_and_a_killed_one_does_not(
    logged_in: User, realm: Realm
) -> None:
    """While one is stopped in the middle (Ctrl-Z), nobody sends its refresh token again."""
    expire(logged_in)
    realm.quirk("hold_request", grant="refresh_token")
    with cranes(logged_in, 1, "token") as (stopped,):
        realm.wait_for("token", grant="refresh_token")
        os.kill(stopped.process.pid, signal.SIGSTOP)
        realm.release()
        with cranes(logged_in, 1, "token") as (other,):
            until_said([other], "waiting for another crane process", 1)
            assert len(refreshes(realm)) == 1
            os.kill(stopped.process.pid, signal.SIGCONT)
            assert stopped.wait() == 0
            assert other.wait() == 0
    assert len(refreshes(realm)) == 1
    assert stored(logged_in).tokens.refresh_token is not None
