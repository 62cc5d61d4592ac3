"""pip at an index without metadata and without range requests, as a Crane server is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.world import User, World

OBTAINED = "Obtaining dependency information for acme-app"


def wheels_asked(world: World) -> list[str]:
    """Return which whole wheels the index was asked for, and forget it."""
    asked = [
        f"{r.method} {r.path.rsplit('/', 1)[-1]}"
        for r in world.crane.requests
        if r.path.endswith(".whl") and r.header("range") is None
    ]
    world.crane.requests.clear()
    return sorted(asked)


def resolve(user: User) -> str:
    """Have pip find out what an application needs, without a cache of its own."""
    options = ("--dry-run", "--ignore-installed", "--no-cache-dir", "-v", "--report", "-")
    done = user.crane("pip", "install", *options, "acme-app", check=True)
    assert "acme-app-1.0" in done.stdout
    return done.stdout


def test_pip_resolves_by_metadata_of_wheels_that_were_fetched_once(
    world: World, logged_in: User
) -> None:
    world.add_private("acme-app", requires=["acme-lib"], size=100_000)
    world.add_private("acme-lib", size=100_000)

    assert OBTAINED not in resolve(logged_in)
    both = ["GET acme_app-1.0-py3-none-any.whl", "GET acme_lib-1.0-py3-none-any.whl"]
    assert wheels_asked(world) == both

    assert OBTAINED in resolve(logged_in)
    assert wheels_asked(world) == []
