"""The store of sessions: private, whole, and forgiving about what it does not understand."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from auth.kit import store_in
from support.world import User

from crane_core.auth.model import ProviderMetadata, Session, TokenSet, session_key
from crane_core.config.model import Index
from crane_core.errors import StorageBusy, UnsafePermissions
from crane_core.secret import Secret

INDEX = Index(name="firm", url="https://crane.example/python", issuer="https://sso.example/r")
KEY = session_key(INDEX)
SESSION = Session(
    TokenSet(Secret("access-1"), 1.0, 301.0, Secret("refresh-1"), 1801.0, "openid", "ada"),
    ProviderMetadata("https://sso.example/token", "https://sso.example/r", None, None),
)
posix = pytest.mark.skipif(sys.platform == "win32", reason="no mode bits on Windows")


def mode(path: Path) -> int:
    """Return a file's permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def stored(folder: Path) -> Path:
    """Write the session and return its file."""
    store_in(folder).write(KEY, SESSION)
    (file,) = folder.glob("*.json")
    return file


def test_what_is_written_is_read(folder: Path) -> None:
    """Every field survives, secrets included."""
    stored(folder)
    assert store_in(folder).read(KEY) == SESSION


def test_nothing_is_read_where_nothing_is(folder: Path) -> None:
    """No folder and no file is no session."""
    assert store_in(folder).read(KEY) is None


@posix
def test_files_and_folder_are_for_the_user_alone(folder: Path) -> None:
    """0600 and 0700, whatever the umask; locks too."""

    async def lock() -> None:
        async with store_in(folder).lock(KEY, "refresh", timeout=1, notice=print):
            pass

    before = os.umask(0)
    try:
        file = stored(folder)
        asyncio.run(lock())
    finally:
        os.umask(before)
    assert mode(folder) == 0o700
    assert mode(file) == 0o600
    assert {mode(f) for f in folder.iterdir()} == {0o600}


@posix
@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o601, 0o660, 0o644])
def test_a_file_that_others_may_reach_is_refused(folder: Path, bits: int) -> None:
    """Neither readable nor writable by others, with the command that mends it."""
    file = stored(folder)
    file.chmod(bits)
    with pytest.raises(UnsafePermissions) as caught:
        store_in(folder).read(KEY)
    assert caught.value.exit_code == 10
    assert caught.value.hint == f"run: chmod go= '{file}'"


@posix
def test_the_hint_mends_it_for_the_user(logged_in: User) -> None:
    """`crane token` refuses with exit code 10; the shown command makes it work again."""
    (file,) = logged_in.sessions.glob("*.json")
    file.chmod(0o640)
    refused = logged_in.crane("token")
    assert refused.returncode == 10
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    logged_in.run("sh", "-c", refused.stderr.partition("run: ")[2], check=True)
    assert mode(file) == 0o600
    logged_in.crane("token", check=True)


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives away")
def test_a_file_of_another_user_is_refused(folder: Path) -> None:
    """Somebody who can put a file there must not choose our token."""
    os.chown(stored(folder), 12345, 12345)
    with pytest.raises(UnsafePermissions, match="belongs to another user"):
        store_in(folder).read(KEY)


@posix
def test_an_open_folder_of_ours_is_closed_before_a_secret_goes_in(folder: Path) -> None:
    """An older folder with wide permissions is no obstacle and no leak."""
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    stored(folder)
    assert mode(folder) == 0o700


def test_nothing_is_left_beside_the_session(folder: Path) -> None:
    """Writing again and again leaves one file, and the mark of its last change."""
    for _ in range(5):
        stored(folder)
    assert sorted(f.suffix for f in folder.iterdir()) == [".json", ".mark"]


def test_a_link_in_the_place_of_the_file_is_replaced_not_followed(
    folder: Path, tmp_path: Path
) -> None:
    """A write never goes through somebody's link."""
    file = stored(folder)
    file.unlink()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    file.symlink_to(victim)
    stored(folder)
    assert victim.read_text() == "mine"
    assert not file.is_symlink()


def record() -> dict[str, Any]:
    """Return the stored form of the session, to be damaged."""
    return {
        "format": 1,
        "session": {},
        "provider": {"token_endpoint": "https://sso.example/token"},
        "tokens": {"access_token": "a", "issued_at": 1.0, "refresh_token": "r"},
    }


DAMAGED: dict[str, Any] = {
    "empty": b"",
    "zeros": b"\0" * 512,
    "half": b'{"format": 1, "provider": {"token_end',
    "not utf-8": b'{"format": "\xff\xfe"}',
    "deep": b"[" * 200_000,
    "null": b"null",
    "list": b"[]",
    "number": b"5",
    "text": b'"format"',
    "object": b"{}",
    "other format": record() | {"format": 2},
    "no provider": {k: v for k, v in record().items() if k != "provider"},
    "provider is text": record() | {"provider": "x"},
    "provider is empty": record() | {"provider": {}},
    "provider has more": record() | {"provider": {"token_endpoint": "x", "more": 1}},
    "endpoint is a number": record() | {"provider": {"token_endpoint": 5}},
    "no tokens": {k: v for k, v in record().items() if k != "tokens"},
    "tokens are null": record() | {"tokens": None},
    "tokens are a list": record() | {"tokens": []},
    "tokens are text": record() | {"tokens": "abc"},
    "tokens are empty": record() | {"tokens": {}},
    "no access token": record() | {"tokens": {"issued_at": 1.0}},
    "no time": record() | {"tokens": {"access_token": "a"}},
    "time is text": record() | {"tokens": {"access_token": "a", "issued_at": "now"}},
    "end is text": record() | {
        "tokens": {"access_token": "a", "issued_at": 1.0, "expires_at": "soon"}
    },
}  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_no_session(folder: Path, content: Any) -> None:
    """Whatever stands there, the answer is a new login and never a traceback."""
    file = stored(folder)
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    assert store_in(folder).read(KEY) is None


def test_the_undamaged_record_of_that_table_is_a_session(folder: Path) -> None:
    """The table damages one thing at a time."""
    stored(folder).write_text(json.dumps(record()))
    assert store_in(folder).read(KEY) is not None


def test_a_user_with_a_damaged_file_logs_in_again(logged_in: User) -> None:
    """`crane token` asks for a login, which replaces the file."""
    (file,) = logged_in.sessions.glob("*.json")
    file.write_bytes(file.read_bytes()[:100])
    needed = logged_in.crane("token")
    assert needed.returncode == 4
    assert "run: crane login" in needed.stderr
    logged_in.crane("login", check=True)
    logged_in.crane("token", check=True)


@pytest.mark.parametrize(
    "other",
    [
        {"url": "https://other.example/python"},
        {"url": "https://crane.example:8443/python"},
        {"issuer": "https://sso.example/other"},
        {"client_id": "other"},
        {"scope": "openid"},
        {"audience": "https://aud.example"},
        {"resource": "https://res.example"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_session_serves_no_other_origin_provider_client_or_right(
    folder: Path, other: dict[str, Any]
) -> None:
    """Each of these makes another login: a token never travels to another host."""
    stored(folder)
    assert store_in(folder).read(session_key(replace(INDEX, **other))) is None


def test_two_repositories_of_one_server_share_a_login(folder: Path) -> None:
    """The path is no part of the session: one login a server."""
    stored(folder)
    other = replace(INDEX, name="other", url="https://CRANE.example:443/more/simple/")
    assert store_in(folder).read(session_key(other)) == SESSION


def test_a_lock_that_somebody_keeps_is_said_and_given_up(folder: Path) -> None:
    """The wait is announced once, and bounded."""
    said: list[str] = []

    async def both() -> None:
        async with store_in(folder).lock(KEY, "refresh", timeout=5, notice=print):
            with pytest.raises(StorageBusy, match="another crane process"):
                async with store_in(folder).lock(
                    KEY, "refresh", timeout=0.1, notice=lambda: said.append("waiting")
                ):
                    pass

    asyncio.run(both())
    assert said == ["waiting"]


def test_lock_files_stay(folder: Path) -> None:
    """A process that waits on a deleted lock file would be alone."""

    async def lock() -> None:
        async with store_in(folder).lock(KEY, "refresh", timeout=1, notice=print):
            store_in(folder).write(KEY, SESSION)

    asyncio.run(lock())
    store_in(folder).delete(KEY)
    assert sorted(f.suffix for f in folder.iterdir()) == [".lock", ".mark"]


def test_no_secret_in_what_is_printed() -> None:
    """Neither repr nor str of a session shows a token."""
    assert "access-1" not in f"{SESSION!r} {SESSION} {SESSION.tokens}"
    assert "refresh-1" not in f"{SESSION!r} {SESSION} {SESSION.tokens}"
