"""Links and files that another user has put where crane keeps its own."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.world import User, World

from crane_core.errors import UnsafePermissions
from crane_core.files import read_private, write_private
from crane_core.index.provenance import SqliteProvenance

NOBODY = 65534
FOREIGN = "belongs to another user"

pytestmark = pytest.mark.skipif(
    not hasattr(os, "setuid") or os.getuid() != 0, reason="only root gives files to others"
)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@contextmanager
def replaced(folder: Path, other: Path, owner: int = NOBODY) -> Iterator[None]:
    """Put a link of another user's in the place of a folder."""
    aside = folder.with_name(f"{folder.name}-aside")
    folder.rename(aside)
    folder.symlink_to(other)
    os.chown(folder, owner, owner, follow_symlinks=False)
    try:
        yield
    finally:
        folder.unlink()
        aside.rename(folder)


def test_a_folder_that_has_become_somebody_elses_link(world: World, logged_in: User) -> None:
    """Nothing is read or written through it, and nothing of this user's own is removed."""
    user = logged_in
    world.add_private("firm-lib")
    data, cache = user.sessions.parent, user.home / ".cache" / "crane"
    user.crane("run", "true", check=True)
    download = ("pip", "--python", sys.executable, "download", "-d", "got", "--no-deps", "firm-lib")
    user.crane(*download, check=True)
    user.crane("agent", "stop", check=True)
    other = user.home / "other"
    other.mkdir(mode=0o700)
    (other / "keep").write_text("mine")
    for folder, command in (
        (user.sessions, ("login", "python")),
        (user.config_file.parent, ("index", "register", world.index_url, "--yes")),
        (data, ("index", "release", "python", "firm-lib")),
        # Without a cache it goes on.
        (cache, download),
    ):
        with replaced(folder, other):
            done = user.crane(*command)
        assert tree(other) == {"keep": b"mine"}, command
        assert done.returncode == (0 if folder == cache else 10), done
        assert folder == cache or FOREIGN in done.stderr, done
    # The control: a link of one's own is where one wants it.
    with replaced(user.sessions, other, owner=0):
        user.crane("login", "python", check=True)
    assert len(tree(other)) > 1


def test_a_file_of_somebody_else_in_the_place_of_our_own(world: World, logged_in: User) -> None:
    """Readable for all, writable for its owner alone: it decides where the next login goes."""
    user = logged_in
    user.crane("run", "true", check=True)
    provenance = user.sessions.parent / "provenance.sqlite3"
    (session,) = user.sessions.glob("*.json")
    for file, command in (
        (user.config_file, ("index", "list")),
        (user.config_file, ("run", "true")),
        (session, ("token", "python")),
    ):
        os.chown(file, NOBODY, NOBODY)
        done = user.crane(*command)
        os.chown(file, 0, 0)
        assert (done.returncode, FOREIGN in done.stderr) == (10, True), done
        assert user.crane(*command).returncode == 0
    SqliteProvenance(provenance).close()
    os.chown(provenance, NOBODY, NOBODY)
    with pytest.raises(UnsafePermissions, match=FOREIGN):
        SqliteProvenance(provenance)


def test_links_where_locks_logs_and_new_files_will_be(world: World, logged_in: User) -> None:
    """Planted while a folder was open to all. What they lead to is neither emptied nor written."""
    user = logged_in
    user.variables["CRANE_HOME"] = str(user.home / "crane")
    register = ("index", "register", world.index_url, "--yes", "--fallback", world.public_url)
    commands = (register, ("login",), ("token", "python"), ("run", "true"))
    for command in commands:
        user.crane(*command, check=True)
    user.crane("agent", "stop", check=True)
    root, precious = user.home / "crane", user.home / "precious"
    precious.mkdir()
    planted = []
    for path in [p for p in root.rglob("*") if p.is_file() and p.suffix != ".toml"]:
        target = precious / path.name
        target.write_bytes(b"mine")
        target.chmod(0o600)
        path.unlink()
        path.symlink_to(target)
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        planted.append(path)
    assert len(planted) > 4, planted

    ends = {command[:2]: user.crane(*command) for command in commands}

    assert set(tree(precious).values()) == {b"mine"}, ends
    assert not any("Traceback" in done.stderr for done in ends.values()), ends


def test_a_file_that_is_swapped_while_it_is_read(tmp_path: Path) -> None:
    """What was looked at is what is read: never the other user's, however often it is tried."""
    path, theirs, spare = tmp_path / "private" / "s", tmp_path / "theirs", tmp_path / "private/x"
    write_private(path, b"mine")
    theirs.write_bytes(b"theirs")
    os.chown(theirs, NOBODY, NOBODY)
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            spare.unlink(missing_ok=True)
            spare.symlink_to(theirs)
            spare.replace(path)
            spare.write_bytes(b"mine")
            spare.chmod(0o600)
            spare.replace(path)

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen = set()
    try:
        for _ in range(5000):
            try:
                seen.add(read_private(path))
            except UnsafePermissions:
                seen.add(b"refused")
    finally:
        ended.set()
        swapping.join()
    assert seen <= {b"mine", b"refused", b""}
    assert len(seen) > 1
