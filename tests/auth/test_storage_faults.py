"""Full and read-only disks: what was stored before is still there, and the reason is said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from auth.disks import drain, fill, make_read_only, make_writable, small_disk
from auth.kit import Desk, at_desk
from idp.oidc import Realm
from support.world import User

from crane_core.auth.login import Logout
from crane_core.errors import DiskFull, NotWritable
from crane_core.files import read_private, write_private

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system")


@pytest.mark.parametrize("old", [None, b"old content"])
def test_a_full_disk_keeps_the_old_content(tmp_path: Path, old: bytes | None) -> None:
    """Exit code 9; the old file is whole, and no half file is left beside it."""
    with small_disk(tmp_path / "disk") as disk:
        file = disk / "file"
        if old is not None:
            write_private(file, old)
        fill(disk)
        with pytest.raises(DiskFull) as caught:
            write_private(file, b"x" * 10_000)
        assert caught.value.exit_code == 9
        assert str(file) in caught.value.message
        assert read_private(file) == old
        assert {f.name for f in disk.iterdir()} == {"filler"} | ({"file"} if old else set())


def test_a_disk_that_fills_up_in_the_middle_of_a_write(tmp_path: Path) -> None:
    """The first blocks fit, the rest does not: still all or nothing."""
    with small_disk(tmp_path / "disk") as disk:
        write_private(disk / "file", b"old content")
        with pytest.raises(DiskFull):
            write_private(disk / "file", b"x" * 100_000)
        assert read_private(disk / "file") == b"old content"
        write_private(disk / "file", b"x" * 10_000)


def test_a_read_only_disk_keeps_the_old_content(tmp_path: Path) -> None:
    """Exit code 8, with the variable that moves crane's files elsewhere."""
    with small_disk(tmp_path / "disk") as disk:
        write_private(disk / "file", b"old content")
        make_read_only(disk)
        with pytest.raises(NotWritable) as caught:
            write_private(disk / "file", b"new")
        assert caught.value.exit_code == 8
        assert "CRANE_HOME" in caught.value.hint
        assert read_private(disk / "file") == b"old content"


def test_a_folder_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    """A path that can never be a folder is said, not thrown."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NotWritable):
        write_private(tmp_path / "file" / "crane" / "x.json", b"new")


def test_a_login_on_a_full_disk_keeps_the_old_session(realm: Realm, tmp_path: Path) -> None:
    """`DiskFull`, and the session of before works on."""

    async def job(desk: Desk) -> None:
        before = await desk.login()
        fill(desk.folder)
        with pytest.raises(DiskFull):
            await desk.login()
        assert desk.session == before

    with small_disk(tmp_path / "disk") as disk:
        at_desk(realm, disk, job)


def test_a_full_disk_costs_no_login(realm: Realm, tmp_path: Path) -> None:
    """What could not be kept is not asked for; a token that is good for a while yet is used."""

    async def job(desk: Desk) -> None:
        before = await desk.login()
        fill(desk.folder)
        with pytest.raises(DiskFull):
            await desk.broker.access_token(desk.index, rejected=before.tokens.access_token)
        assert desk.refreshes == 0
        desk.clock.offset = 299.0  # due for a refresh, for the last second
        assert await desk.broker.access_token(desk.index) == before.tokens.access_token
        assert desk.session == before
        drain(desk.folder)
        assert await desk.broker.access_token(desk.index) != before.tokens.access_token
        assert desk.refreshes == 1

    with small_disk(tmp_path / "disk") as disk:
        at_desk(realm, disk, job)


def test_a_fresh_token_is_read_from_a_read_only_disk(realm: Realm, tmp_path: Path) -> None:
    """Nothing has to be written to use what is there, as in a container."""

    async def job(desk: Desk) -> None:
        session = await desk.login()
        make_read_only(desk.folder)
        assert await desk.broker.access_token(desk.index) == session.tokens.access_token

    with small_disk(tmp_path / "disk") as disk:
        at_desk(realm, disk, job)


@pytest.mark.parametrize("action", ["login", "refresh", "logout"])
def test_a_read_only_disk_is_said(realm: Realm, tmp_path: Path, action: str) -> None:
    """Each way to change the session names the folder, and the provider's tokens live on."""

    async def act(desk: Desk) -> None:
        if action == "login":
            await desk.login()
        elif action == "logout":
            await Logout(desk.context).run(desk.index)
        else:
            rejected = desk.session.tokens.access_token
            await desk.broker.access_token(desk.index, rejected=rejected)

    async def job(desk: Desk) -> None:
        before = await desk.login()
        make_read_only(desk.folder)
        with pytest.raises(NotWritable) as caught:
            await act(desk)
        assert str(desk.folder) in caught.value.message
        assert desk.session == before
        assert desk.refreshes == 0
        assert realm.requests("revocation") == []
        make_writable(desk.folder)
        assert await desk.broker.access_token(desk.index) == before.tokens.access_token

    with small_disk(tmp_path / "disk") as disk:
        at_desk(realm, disk, job)


def test_sessions_that_cannot_be_reached_are_said(tmp_path: Path, realm: Realm) -> None:
    """A data folder that is a file: exit code 8 for reading as for writing."""
    (tmp_path / "data").write_text("in the way")

    async def job(desk: Desk) -> None:
        with pytest.raises(NotWritable):
            await desk.broker.access_token(desk.index)
        with pytest.raises(NotWritable):
            await desk.login()

    at_desk(realm, tmp_path / "data" / "sessions", job)
    assert realm.requests("device_authorization") == []


def test_a_user_with_a_full_disk(registered: User) -> None:
    """`crane login` ends with exit code 9 and one line; after tidying up it works."""
    with small_disk(registered.sessions) as disk:
        fill(disk)
        full = registered.crane("login")
        assert full.returncode == 9
        assert full.stderr.splitlines()[-1].startswith("crane: no space left to write")
        assert "Traceback" not in full.stderr
        drain(disk)
        registered.crane("login", check=True)


def test_a_user_with_a_read_only_home(logged_in: User) -> None:
    """`crane token` works, `crane logout` says why it does not: exit code 8, no traceback."""
    content = {f.name: f.read_bytes() for f in logged_in.sessions.iterdir()}
    with small_disk(logged_in.sessions) as disk:
        for name, data in content.items():
            write_private(disk / name, data)
        make_read_only(disk)
        logged_in.crane("token", check=True)
        done = logged_in.crane("logout")
        assert done.returncode == 8, done.stderr
        assert done.stderr.startswith("crane: cannot write")
        assert done.stderr.count("\n") == 1
