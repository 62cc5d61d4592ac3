"""Commands that need no index are pip's alone: no configuration, no login, no port, no request."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.pips import INDEX_ROUTE, agents, register
from support.world import CRANE, User, World

from crane_core.config.model import Index

COMMANDS = {
    "list": 0,
    "freeze --all": 0,
    "show pip": 0,
    "show nothing-like-this": 1,
    "--version": 0,
    "config list": 0,
    "--help": 0,
    "-h": 0,
    "install --help": 0,
    "help install": 0,
    "check": 0,
    "no-such-command": 1,
    "list --no-such-option": 2,
    "": 0,
}


@pytest.fixture
def lonely(user: User, make_environment: Callable[..., Path]) -> User:
    user.variables["VIRTUAL_ENV"] = str(make_environment())
    return user


@pytest.mark.parametrize(("line", "code"), COMMANDS.items(), ids=lambda v: str(v) or "nothing")
def test_they_are_pips_own_to_the_byte(line: str, code: int, lonely: User) -> None:
    python = str(Path(lonely.variables["VIRTUAL_ENV"]) / "bin" / "python")

    own = lonely.run(python, "-m", "pip", *line.split())
    done = lonely.crane("pip", *line.split())

    assert done.returncode == own.returncode == code, done.stderr
    assert (done.stdout, done.stderr) == (own.stdout, own.stderr)
    assert not (lonely.home / ".config" / "crane").exists()
    assert not (lonely.home / ".local" / "share" / "crane").exists()


@pytest.mark.parametrize("line", ["list", "--version", "config list", "uninstall -y nothing"])
def test_they_work_with_a_broken_configuration(line: str, lonely: User) -> None:
    lonely.config_file.parent.mkdir(parents=True)
    lonely.config_file.write_text("[index\n")

    assert lonely.crane("pip", *line.split()).returncode == 0


def test_a_broken_configuration_stops_an_install(lonely: User) -> None:
    lonely.config_file.parent.mkdir(parents=True)
    lonely.config_file.write_text("[index\n")

    done = lonely.crane("pip", "install", "x")

    assert done.returncode == 3
    assert f"{lonely.config_file}:" in done.stderr


@pytest.mark.parametrize(
    "line", ["list", "freeze", "--version", "install --no-index x", "install -r no-index.txt"]
)
def test_they_ask_nobody_and_open_no_port(
    line: str, ready: User, world: World, telling: Callable
) -> None:
    """The telling pip has taken crane's place, without a gateway's address."""
    pip = telling()
    (ready.home / "no-index.txt").write_text("--no-index\nx\n")
    world.realm.clear_requests()

    with subprocess.Popen(
        [CRANE, "pip", "--python", str(pip.environment), *line.split()],
        env=ready.environ,
        cwd=ready.home,
    ) as process:
        assert process.wait(60) == 0

    assert pip.told["pid"] == process.pid
    assert pip.told["arguments"] == line.split()
    assert not {"PIP_INDEX_URL", "NETRC", "CRANE_VIEW"} & pip.told["environ"].keys()
    assert not agents(ready)
    assert not list(world.crane.requests)
    assert not world.realm.requests()


@pytest.mark.parametrize("route", [(), INDEX_ROUTE], ids=["default", "index"])
def test_settings_that_ask_for_no_index_start_no_agent(
    route: tuple[str, ...], lonely: User, world: World, index: Index
) -> None:
    """And need no login."""
    register(lonely, index)
    world.add_private("secret-lib")
    folder = world.private / "secret-lib"

    done = lonely.crane(
        "pip", *route, "install", "secret-lib", "--find-links", str(folder),
        PIP_NO_INDEX="true", CI="1",
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert not world.crane.requests
    assert not agents(lonely)


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 23, 77, -9, -15])
@pytest.mark.parametrize("line", ["install x", "list"])
def test_the_exit_code_is_pips(line: str, code: int, ready: User, telling: Callable) -> None:
    pip = telling(code)

    done = ready.crane("pip", "--python", str(pip.environment), *line.split())

    assert pip.was_called
    # pip has taken crane's place, so that a signal is the signal itself.
    assert done.returncode == code


@pytest.mark.parametrize("code", [0, 23, -15])
def test_the_exit_code_is_pips_on_the_index_route_too(
    code: int, ready: User, telling: Callable
) -> None:
    pip = telling(code)

    done = ready.crane("pip", *INDEX_ROUTE, "--python", str(pip.environment), "install", "x")

    assert pip.was_called
    # A signal as a shell shows it.
    assert done.returncode == (128 - code if code < 0 else code)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("install public-lib", 0),
        ("install missing-lib", 1),
        ("install --no-such-option x", 2),
        ("install", 1),
        ("download public-lib==9", 1),
        ("index versions missing-lib", 1),
        ("index versions public-lib", 0),
    ],
)
def test_the_exit_code_of_a_real_pip_is_passed_on(
    line: str, code: int, ready: User, world: World, active: Path
) -> None:
    world.add_public("public-lib")
    # An index whose root nobody may read would refuse to fall back.
    world.add_private("secret-lib")

    done = ready.crane("pip", *line.split())

    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
