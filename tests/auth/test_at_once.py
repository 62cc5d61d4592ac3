"""Several processes at once, as a parallel build starts them: one refresh, one browser."""

from __future__ import annotations

import signal
import sys

import pytest
from auth.processes import cranes, until_said
from auth.stored import expire, refreshes, stored
from idp.oidc import DEVICE_GRANT, Realm
from support.world import User

# A browser that opens and does nothing: the person has not decided yet.
IDLE_BROWSER = f"{sys.executable} -c pass %s"


def test_ten_processes_share_one_refresh(logged_in: User, realm: Realm) -> None:
    """All print the same new token; the provider sees one request, whoever sends it."""
    expire(logged_in)
    realm.quirk("hold_request", grant="refresh_token", times=None)
    with cranes(logged_in, 10, "token") as running:
        until_said(running, "waiting for another crane process", 9)
        realm.release()
        assert [crane.wait() for crane in running] == [0] * 10
        printed = {crane.stdout for crane in running}
    assert len(refreshes(realm)) == 1
    assert printed == {f"{stored(logged_in).tokens.access_token.reveal()}\n"}


def test_a_killed_process_does_not_hold_the_others_up(logged_in: User, realm: Realm) -> None:
    """The lock goes with its process; the next one refreshes."""
    expire(logged_in)
    realm.quirk("hold_request", grant="refresh_token", times=1)
    with cranes(logged_in, 2, "token") as running:
        until_said(running, "waiting for another crane process", 1)
        (holder,) = [crane for crane in running if "waiting" not in crane.stderr]
        (other,) = [crane for crane in running if crane is not holder]
        holder.process.kill()
        assert other.wait() == 0
    assert len(refreshes(realm)) == 2


def test_five_logins_at_once_open_one_browser(registered: User, realm: Realm) -> None:
    """The others wait, say so, and share the result."""
    realm.quirk("hold_request", grant=DEVICE_GRANT, times=None)
    with cranes(registered, 5, "login") as running:
        until_said(running, "another crane process is logging in", 4)
        realm.release()
        assert [crane.wait() for crane in running] == [0] * 5
        assert {crane.stdout for crane in running} == {"logged in to python as ada\n"}
    assert len(realm.requests("device_authorization")) == 1
    assert len(list(registered.sessions.glob("*.json"))) == 1


def test_after_a_denied_login_the_next_in_line_asks_for_itself(
    registered: User, realm: Realm
) -> None:
    """One person's no is no session: the waiting process opens a browser of its own."""
    realm.quirk("hold_request", grant=DEVICE_GRANT, times=None)
    with cranes(registered, 2, "login", BROWSER=IDLE_BROWSER) as running:
        until_said(running, "another crane process is logging in", 1)
        (code,) = realm.pending_codes()
        realm.deny_device(code)
        realm.release()
        realm.wait_for("device_authorization", count=2)
        until_said(running, "check or enter the code", 2)
        (code,) = realm.pending_codes()
        realm.approve_device(code)
        assert sorted(crane.wait() for crane in running) == [0, 11]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a process")
def test_ctrl_c_ends_a_waiting_login(registered: User, realm: Realm) -> None:
    """Exit code 130 and one line, at once; nothing is stored and nothing is locked."""
    with cranes(registered, 1, "login", BROWSER=IDLE_BROWSER) as (crane,):
        realm.wait_for("token", grant=DEVICE_GRANT)
        shown = crane.stderr
        crane.process.send_signal(signal.SIGINT)
        assert crane.wait() == 130
        assert crane.stderr.removeprefix(shown) == "crane: interrupted\n"
        assert crane.stdout == ""
    assert not list(registered.sessions.glob("*.json"))
    registered.crane("login", check=True)


def test_a_fresh_session_is_no_reason_to_wait(logged_in: User, realm: Realm) -> None:
    """While one process logs in again, the others go on with the token that is there."""
    realm.quirk("hold_request", grant=DEVICE_GRANT, times=None)
    with cranes(logged_in, 1, "login", "--force", BROWSER=IDLE_BROWSER) as (crane,):
        realm.wait_for("device_authorization", count=2)
        logged_in.crane("token", check=True)
        crane.process.kill()
