"""A logout ends what the cache may give: with the real commands, a real index and a real login."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.world import User, World


def rows(user: User, table: str) -> int:
    """Count what the cache remembers of who was given what."""
    path = user.home / ".cache" / "crane" / "cache.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as database:
        ((count,),) = database.execute(f"SELECT count(*) FROM {table}").fetchall()
    return int(count)


def download(user: User) -> None:
    """Fetch a private file by way of crane, so that it is in the cache."""
    done = user.crane("pip", "download", "--no-deps", "-d", "got", "private-lib")
    assert done.returncode == 0, done.stderr


def test_a_logout_forgets_who_was_given_what(world: World, logged_in: User) -> None:
    world.add_private("private-lib")
    download(logged_in)
    assert rows(logged_in, "grants") > 0
    logged_in.crane("logout", check=True)
    assert rows(logged_in, "grants") == rows(logged_in, "contacts") == 0


def test_removing_the_index_does_too(world: World, logged_in: User) -> None:
    world.add_private("private-lib")
    download(logged_in)
    logged_in.crane("index", "remove", world.index_url, check=True)
    assert rows(logged_in, "grants") == 0


def test_after_the_next_login_the_index_is_asked_before_the_cache_gives(
    world: World, logged_in: User
) -> None:
    path = world.add_private("private-lib")
    download(logged_in)
    asked = len(world.asked(f"/python/private-lib/{path.name}"))
    logged_in.crane("logout", check=True)
    logged_in.crane("login", check=True)
    (logged_in.home / "got" / path.name).unlink()
    download(logged_in)
    assert len(world.asked(f"/python/private-lib/{path.name}")) > asked
    assert (logged_in.home / "got" / path.name).read_bytes() == path.read_bytes()


def download_with_a_token(user: User) -> None:
    """Fetch a private file with a ready token, and end the stored login."""
    token = user.crane("token", check=True).stdout.strip()
    user.crane("logout", check=True)
    done = user.crane(
        "pip", "download", "--no-deps", "-d", "got", "private-lib", CRANE_TOKEN_PYTHON=token
    )
    assert done.returncode == 0, done.stderr
    assert rows(user, "grants") > 0
    assert rows(user, "contacts") > 0


def test_a_logout_forgets_what_a_token_of_a_variable_was_given(
    world: World, logged_in: User
) -> None:
    """There is no stored login then, but there is what the cache was given for the token."""
    world.add_private("private-lib")
    download_with_a_token(logged_in)
    logged_in.crane("logout", check=True)
    assert rows(logged_in, "grants") == rows(logged_in, "contacts") == 0


def test_a_purge_of_the_index_does_too(world: World, logged_in: User) -> None:
    world.add_private("private-lib")
    download_with_a_token(logged_in)
    logged_in.crane("cache", "purge", "--index", "python", check=True)
    for table in ("grants", "contacts", "pages"):
        assert rows(logged_in, table) == 0, table
