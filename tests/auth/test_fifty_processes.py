"""Fifty processes on one expired token, and a network that breaks in the middle of a refresh."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from auth.processes import Crane, cranes, until_said
from auth.stored import assert_none_used_twice, expire, refreshes, stored
from idp.oidc import Realm
from support.world import SECONDS, User

RACER = str(Path(__file__).with_name("racer.py"))


@contextmanager
def racers(user: User, count: int) -> Iterator[tuple[list[Crane], Callable[[], None]]]:
    """Start processes that wait for a word, and yield them with what gives it to all."""
    started = [_racer(user, number) for number in range(count)]

    def go() -> None:
        for racer in started:
            assert racer.process.stdin is not None
            racer.process.stdin.write(b"\n")
            racer.process.stdin.close()

    try:
        for racer in started:
            assert racer.process.stdout is not None
            assert racer.process.stdout.readline() == b"ready\n"
        yield started, go
    finally:
        for racer in started:
            racer.process.kill()
            racer.process.wait()
            for pipe in (racer.process.stdin, racer.process.stdout):
                assert pipe is not None
                pipe.close()


def _racer(user: User, number: int) -> Crane:
    err = user.home / f"racer-{number}"
    with err.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, RACER],
            env=user.environ,
            cwd=user.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,
        )
    return Crane(process, err, err)


def printed(racer: Crane) -> str:
    """Wait for the end and return what a process has printed."""
    assert racer.process.stdout is not None
    text = racer.process.stdout.read().decode()
    racer.process.wait(SECONDS)
    return text


def test_fifty_processes_share_one_refresh(logged_in: User, realm: Realm) -> None:
    """All have read the expired token before the first answer comes; one has asked for it."""
    expire(logged_in)
    realm.quirk("hold_answer", grant="refresh_token", times=None)
    with racers(logged_in, 50) as (running, go):
        go()
        until_said(running, "waiting for another crane process", 49)
        realm.release()
        tokens = {printed(racer) for racer in running}
        assert [racer.process.returncode for racer in running] == [0] * 50
    assert len(refreshes(realm)) == 1
    assert tokens == {f"{stored(logged_in).tokens.access_token.reveal()}\n"}


def test_fifty_processes_on_a_login_that_has_ended_ask_once(logged_in: User, realm: Realm) -> None:
    """`invalid_grant` is heard once; the others read that it is over, and nobody loops."""
    expire(logged_in)
    realm.revoke_user("ada")
    with racers(logged_in, 50) as (running, go):
        go()
        assert {printed(racer) for racer in running} == {""}
        assert [racer.process.returncode for racer in running] == [4] * 50
        assert all("run: crane login python" in racer.stderr for racer in running)
    assert len(refreshes(realm)) == 1


@pytest.mark.parametrize("life", [2, 300])
def test_processes_one_after_the_other_each_use_a_new_refresh_token(
    logged_in: User, realm: Realm, life: int
) -> None:
    """Rotation through many hands: each redeems what the one before has stored."""
    for _ in range(4):
        expire(logged_in)
        stored(logged_in).change(issued_at=0.0, expires_at=float(life))
        logged_in.crane("token", check=True)
    used = [r.params["refresh_token"] for r in refreshes(realm)]
    assert len(set(used)) == 4
    assert {r.status for r in refreshes(realm)} == {200}


# --- the network is cut ------------------------------------------------------------------------


def test_a_cut_before_the_provider_has_heard(logged_in: User, realm: Realm) -> None:
    """Exit code 14 and nothing lost: the next process refreshes with the same token."""
    expire(logged_in)
    realm.quirk("drop_request", grant="refresh_token")
    assert logged_in.crane("token").returncode == 14
    logged_in.crane("token", check=True)
    asked = refreshes(realm)
    assert [r.status for r in asked] == [0, 200]
    assert asked[0].params == asked[1].params


@pytest.mark.parametrize("cut", ["drop_answer", "truncate"])
def test_a_cut_after_the_provider_has_rotated(logged_in: User, realm: Realm, cut: str) -> None:
    """The answer is gone: one more try, then one login, and no loop."""
    expire(logged_in)
    realm.quirk(cut, grant="refresh_token")  # type: ignore[arg-type]
    assert logged_in.crane("token").returncode in {14, 15}
    for _ in range(3):
        over = logged_in.crane("token")
        assert over.returncode == 4
        assert over.stderr.count("\n") == 1
    assert len(refreshes(realm)) == 2
    logged_in.crane("login", check=True)
    logged_in.crane("token", check=True)
    assert_none_used_twice(realm)


def test_a_cut_while_ten_wait(logged_in: User, realm: Realm) -> None:
    """The first loses its answer, the second hears that it is over, the rest believe it."""
    expire(logged_in)
    realm.quirk("hold_answer", grant="refresh_token")
    realm.quirk("drop_answer", grant="refresh_token")
    with racers(logged_in, 10) as (running, go):
        go()
        until_said(running, "waiting for another crane process", 9)
        realm.release()
        assert {printed(racer) for racer in running} == {""}
        codes = sorted(racer.process.returncode for racer in running)
    assert codes == [4] * 9 + [14]
    assert len(refreshes(realm)) == 2


def test_a_process_that_is_killed_while_it_waits_for_the_answer(
    logged_in: User, realm: Realm
) -> None:
    """The provider has rotated, and nobody hears it: one login is asked for, by everybody alike."""
    expire(logged_in)
    realm.quirk("hold_answer", grant="refresh_token")
    with cranes(logged_in, 1, "token") as (crane,):
        realm.wait_for("token", grant="refresh_token")
        crane.process.kill()
        crane.process.wait()
    realm.release()
    assert [logged_in.crane("token").returncode for _ in range(3)] == [4] * 3
    assert len(refreshes(realm)) == 2
    logged_in.crane("login", check=True)
    logged_in.crane("token", check=True)
    assert_none_used_twice(realm)
