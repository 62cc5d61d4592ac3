"""Which pip is run, and that crane's own is never meant by accident."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.pips import NEWEST, RUNNING, MakeEnvironment, Pip, installed
from support.world import User, World

import crane_cli

PLAIN_PATH = "/usr/bin:/bin"


@pytest.fixture
def published(world: World) -> World:
    world.add_private("secret-lib")
    return world


def test_the_active_environment_is_installed_into(
    published: World, ready: User, active: Path, make_environment: MakeEnvironment
) -> None:
    other = make_environment(name="other")

    done = ready.crane("pip", "install", "secret-lib", PATH=f"{other}/bin:{PLAIN_PATH}")

    assert done.returncode == 0, done.stderr
    assert installed(active) == {"secret_lib-1.0"}
    assert not installed(other)


@pytest.mark.parametrize(
    "given",
    [
        lambda env: ["--python", str(env / "bin" / "python"), "install"],
        lambda env: ["--python", str(env), "install"],
        lambda env: [f"--python={env}", "install"],
        lambda env: ["install", f"--python={env / 'bin' / 'python'}"],
    ],
    ids=["executable", "folder", "folder with =", "behind the command"],
)
def test_the_python_that_is_named_beats_the_active_environment(
    given: Callable[[Path], list[str]],
    published: World,
    ready: User,
    active: Path,
    make_environment: MakeEnvironment,
) -> None:
    other = make_environment(name="other")

    done = ready.crane("pip", *given(other), "secret-lib")

    assert done.returncode == 0, done.stderr
    assert installed(other) == {"secret_lib-1.0"}
    assert not installed(active)


def test_a_python_in_the_home_folder_may_be_named_with_a_tilde(
    ready: User, environments: object, telling: Callable
) -> None:
    pip = telling()
    pip.environment.rename(ready.home / "env")

    done = ready.crane("pip", "--python", "~/env", "list")

    # It wrote its note to where it was made for, which is gone now: it did run.
    assert "told.json" in done.stderr


def test_without_an_active_environment_the_first_python_on_path_counts(
    published: World, ready: User, make_environment: MakeEnvironment
) -> None:
    first, second = make_environment(name="first"), make_environment(name="second")
    path = f"{first}/bin:{second}/bin:{PLAIN_PATH}"

    done = ready.crane("pip", "install", "secret-lib", PATH=path)

    assert done.returncode == 0, done.stderr
    assert installed(first) == {"secret_lib-1.0"}
    assert not installed(second)


def test_version_says_which_pip_it_is(user: User, make_environment: MakeEnvironment) -> None:
    folder = make_environment(Pip(RUNNING, "24.0"))

    done = user.crane("pip", "--version", VIRTUAL_ENV=str(folder))

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"pip 24.0 from {folder}")


@pytest.fixture
def tool(make_environment: MakeEnvironment) -> Path:
    """Give an environment that holds crane, and a pip, as a tool manager makes it."""
    folder = make_environment(name="tool")
    packages = next(folder.glob("lib/python3*/site-packages"))
    own = Path(crane_cli.__file__).parents[1]
    places = {str(own), *(p for p in sys.path if p.endswith(("site-packages", "/src")))}
    (packages / "crane.pth").write_text("\n".join(sorted(places)) + "\n")
    return folder


def crane_of(tool: Path, user: User, *arguments: str, path: str) -> subprocess.CompletedProcess:
    return user.run(str(tool / "bin" / "python"), "-m", "crane_cli", *arguments, PATH=path)


@pytest.mark.parametrize("mark", ["pipx_metadata.json", "uv-receipt.toml"])
def test_the_environment_that_was_made_for_crane_alone_is_passed_over(
    mark: str, user: User, tool: Path, make_environment: MakeEnvironment
) -> None:
    (tool / mark).touch()
    mine = make_environment(name="mine")

    done = crane_of(tool, user, "pip", "--version", path=f"{tool}/bin:{mine}/bin:{PLAIN_PATH}")

    assert done.returncode == 0, done.stderr
    assert str(mine) in done.stdout


def test_crane_fails_where_its_own_environment_is_the_only_one(user: User, tool: Path) -> None:
    (tool / "pipx_metadata.json").touch()

    done = crane_of(tool, user, "pip", "install", "x", path=f"{tool}/bin")

    assert done.returncode == 25
    assert "--python" in done.stderr
    assert not installed(tool)


def test_the_environment_of_crane_may_be_named(user: User, tool: Path) -> None:
    (tool / "pipx_metadata.json").touch()

    done = crane_of(tool, user, "pip", "--python", str(tool), "--version", path=f"{tool}/bin")

    assert str(tool) in done.stdout


def test_crane_in_an_environment_with_other_projects_uses_its_pip(user: User, tool: Path) -> None:
    done = crane_of(tool, user, "pip", "--version", path=f"{tool}/bin:{PLAIN_PATH}")

    assert str(tool) in done.stdout, done.stderr


def test_a_python_without_pip_is_told_how_to_get_one(
    ready: User, make_environment: MakeEnvironment
) -> None:
    folder = make_environment(None)

    done = ready.crane("pip", "install", "x", VIRTUAL_ENV=str(folder))

    assert done.returncode == 25
    assert "ensurepip" in done.stderr


def test_a_pip_that_is_too_old_is_told_how_to_get_a_newer_one(
    ready: User, world: World, make_environment: MakeEnvironment
) -> None:
    folder = make_environment(Pip(RUNNING, "21.3.1"))

    done = ready.crane("pip", "install", "x", VIRTUAL_ENV=str(folder))

    assert done.returncode == 28
    assert "21.3.1" in done.stderr
    assert "22.2" in done.stderr
    assert not list(world.crane.requests)


@pytest.mark.parametrize("command", ["install", "list"])
@pytest.mark.parametrize("value", ["/nowhere/python", "no-such-python", "", "."])
def test_a_python_that_is_none_is_refused(command: str, value: str, ready: User) -> None:
    done = ready.crane("pip", "--python", value, command)

    assert done.returncode == 25
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["install", "list"])
def test_a_python_that_does_not_run_is_refused(command: str, ready: User, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/nowhere/at/all\n")
    broken.chmod(0o755)

    done = ready.crane("pip", "--python", str(broken), command, "x")

    assert done.returncode == 25
    assert "Traceback" not in done.stderr


def test_an_active_environment_without_python_is_not_replaced_by_another(
    published: World, ready: User, make_environment: MakeEnvironment
) -> None:
    """Or the projects would land in a Python that the user did not choose."""
    other = make_environment(Pip(RUNNING, NEWEST), name="other")
    gone = ready.home / "gone"

    done = ready.crane(
        "pip", "install", "secret-lib",
        VIRTUAL_ENV=str(gone), PATH=f"{other}/bin{os.pathsep}{PLAIN_PATH}",
    )  # fmt: skip

    assert done.returncode == 25
    assert str(gone) in done.stderr
    assert not installed(other)
