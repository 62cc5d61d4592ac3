"""The main job: register, log in, install from the protected index, the rest from the public."""

from __future__ import annotations

import sys
from pathlib import Path

from support.world import User, World


def venv(user: User, name: str = "venv", python: str = sys.executable) -> Path:
    """Make a virtual environment of the user's, and activate it for their commands."""
    folder = user.home / name
    user.run(python, "-m", "venv", str(folder), check=True)
    user.variables["VIRTUAL_ENV"] = str(folder)
    return folder


def test_a_private_project_comes_from_the_index_and_its_dependency_from_the_fallback(
    world: World, logged_in: User
) -> None:
    """Private first, also where the public index has a higher version of the private name."""
    world.add_private("secret-lib", requires=["public-lib"])
    world.add_public("secret-lib", "9.0")
    world.add_public("public-lib", "2.0")
    folder = venv(logged_in)

    done = logged_in.crane("pip", "install", "secret-lib")

    assert done.returncode == 0, done.stderr
    assert "Successfully installed public-lib-2.0 secret-lib-1.0" in done.stdout
    assert (folder / "lib").exists()
    assert not any("secret" in r.path for r in world.public_server.requests)
    assert all(r.authorized_user == "ada" for r in world.crane.requests if "secret" in r.path)
