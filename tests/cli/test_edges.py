"""The command line's edges: wrong arguments, tracebacks, closed pipes, start-up time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.pips import RUNNING, Environments, Pip, index_of, register
from support.world import CRANE, SECONDS, User, World

import crane_core.errors
from crane_core.errors import CraneError

REPOSITORY = Path(__file__).parents[2]
EXIT_CODES = REPOSITORY / "docs" / "reference" / "exit-codes.md"

WRONG = [
    "",
    "no-such-command",
    "--no-such-flag",
    "index",
    "index no-such-action",
    "index list --no-such-flag",
    "index show",
    "index set python",
    "index list --js",
    "login a b",
    "serve --port many",
    "serve --port 70000",
    "token --json",
    "index register http://127.0.0.1:1/x one two",
]


@pytest.mark.parametrize("line", WRONG, ids=lambda line: line or "nothing")
def test_wrong_arguments_exit_with_2(line: str, user: User, world: World) -> None:
    register(user, index_of(world))

    done = user.crane(*line.split())

    assert done.returncode == 2
    assert done.stderr
    assert not done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "examples:\n"),
        ("install", "there is no command 'install'; run: crane pip install …"),
        ("statsu", "there is no command 'statsu'; did you mean: crane status?"),
        ("frobnicate", "there is no command 'frobnicate'; see: crane --help"),
    ],
)
def test_who_names_no_command_is_told_of_those_there_are(name: str, said: str, user: User) -> None:
    done = user.crane(*name.split())
    assert done.returncode == 2
    assert said in done.stderr


COMMANDS = [
    "", "index", "index register", "index list", "index show", "index set", "index remove",
    "index import", "index release", "login", "logout", "status", "token", "serve", "demo",
    "run", "env", "agent", "agent status", "agent stop",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda line: line or "crane")
def test_every_command_has_help(command: str, user: User) -> None:
    done = user.crane(*command.split(), "--help")

    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: crane {command}".rstrip())
    assert not done.stderr


def test_the_version_is_told(user: User) -> None:
    assert user.crane("--version").stdout == f"crane {crane_core.__version__}\n"


FAILURES = ["index show nothing", "login", "token", "pip install x", "serve"]


@pytest.mark.parametrize("line", FAILURES)
def test_an_expected_failure_is_one_line(line: str, user: User) -> None:
    done = user.crane(*line.split(), VIRTUAL_ENV=str(Path(sys.prefix)))

    assert done.returncode not in {0, 1}
    assert re.fullmatch(r"crane: [^\n]+\n", done.stderr)


@pytest.mark.parametrize("line", FAILURES)
def test_debug_shows_the_traceback(line: str, user: User) -> None:
    done = user.crane("--debug", *line.split(), VIRTUAL_ENV=str(Path(sys.prefix)))

    assert done.returncode != 0
    assert "Traceback (most recent call last)" in done.stderr
    assert "crane_core.errors." in done.stderr


def test_debug_behind_pip_is_pips(user: User, environments: Environments, tmp_path: Path) -> None:
    environment = environments.make(tmp_path / "env", Pip(RUNNING, "24.0"))

    done = user.crane("pip", "--debug", "list", VIRTUAL_ENV=str(environment))

    assert done.returncode == 0, done.stderr


@pytest.fixture
def environments(tmp_path_factory: pytest.TempPathFactory) -> Environments:
    folder = tmp_path_factory.getbasetemp() / "pips"
    folder.mkdir(exist_ok=True)
    return Environments(folder)


@pytest.mark.parametrize(
    "line", ["index list", "index list --json", "index show python", "--help", "--version"]
)
def test_a_reader_that_has_left_is_no_error(line: str, user: User, world: World) -> None:
    """As with `crane index list | head -0`."""
    register(user, index_of(world))
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [CRANE, *line.split()], env=user.environ, cwd=user.home, stdout=writer,
            stderr=subprocess.PIPE, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)

    assert not done.stderr
    assert done.returncode in {0, 141}


HEAVY = {"httpx2", "uvicorn", "rich", "cryptography", "starlette", "selectolax", "asyncio"}


def imported(user: User, *arguments: str, **extra: str) -> set[str]:
    """Return the top-level modules that crane's own process imports for a command."""
    done = user.run(sys.executable, "-X", "importtime", "-m", "crane_cli", *arguments, **extra)
    assert done.returncode == 0, done.stderr
    names = re.findall(r"^import time:.*\|\s+(\S+)$", done.stderr, flags=re.MULTILINE)
    assert "crane_cli.main" in names
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("line", ["--help", "--version", "pip --help", "index --help"])
def test_help_imports_nothing_heavy(line: str, user: User, tmp_path: Path) -> None:
    arguments = line.split()
    extra = {}
    if arguments[0] == "pip":
        python = tmp_path / "env" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text("#!/bin/sh\nexit 0\n")
        python.chmod(0o755)
        extra["VIRTUAL_ENV"] = str(tmp_path / "env")

    # asyncio is cheap beside the rest, but a third of a start that does nothing.
    assert not imported(user, *arguments, **extra) & (HEAVY - {"asyncio"})


def test_pip_version_imports_nothing_heavy(user: User, tmp_path: Path) -> None:
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 0\n")
    python.chmod(0o755)

    found = imported(user, "pip", "--version", VIRTUAL_ENV=str(tmp_path / "env"))

    assert not found & (HEAVY - {"asyncio"})


def errors() -> Iterator[type[CraneError]]:
    """Yield every error with a code of its own."""
    for value in vars(crane_core.errors).values():
        if isinstance(value, type) and issubclass(value, CraneError) and "code" in vars(value):
            yield value


def test_exit_codes_and_names_are_unique() -> None:
    found = list(errors())

    assert len({error.exit_code for error in found}) == len(found)
    assert len({error.code for error in found}) == len(found)


def test_the_documented_exit_codes_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| *(\d+) *\| *`([a-z-]+)` *\|", EXIT_CODES.read_text(), re.MULTILINE)

    documented = {(int(code), name) for code, name in rows if code != "0"}
    assert documented == {(error.exit_code, error.code) for error in errors()}
