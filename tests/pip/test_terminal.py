"""crane pip on a terminal: it is pip's, and Ctrl-C ends everything."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.pips import INDEX_ROUTE, bundles, leftovers
from support.world import CRANE, SECONDS, User, World

from crane_devserver.faults import Fault

pexpect: Any = pytest.importorskip("pexpect", reason="needs a pseudo-terminal")

SLOW = 2_000  # bytes a second
BIG = 3_000_000
ENDS = 20  # seconds that anything may take to end


@pytest.fixture
def spawn(ready: User) -> Iterator[Callable[..., Any]]:
    """Start crane on a terminal of its own, and leave nothing of it behind."""
    started: list[Any] = []
    ready.variables["TERM"] = "xterm"

    def start(*arguments: str) -> Any:
        child = pexpect.spawn(
            CRANE, list(arguments), env=ready.environ, cwd=str(ready.home),
            timeout=SECONDS, encoding="utf-8", dimensions=(40, 120),
        )  # fmt: skip
        started.append(child)
        return child

    yield start
    for child in started:
        for process in family(child.pid) if child.isalive() else []:
            process.kill()
        child.close(force=True)


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all below it."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def finish(child: Any) -> tuple[str, int]:
    """Read to the end; return what was shown, and the exit code as a shell has it."""
    child.expect(pexpect.EOF)
    child.wait()
    code = child.exitstatus if child.signalstatus is None else 128 + child.signalstatus
    return child.before, code


def all_end(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=ENDS)[1]


def leaves_nothing(user: User) -> bool:
    """Whether no file with a secret, or of a view, is left; the agent looks every two seconds."""
    end = time.monotonic() + ENDS
    while left := [*leftovers(user), *bundles(user)]:
        if time.monotonic() > end:
            print(left)
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def slow_download(world: World, active: Path) -> None:
    """Let the private file take half an hour."""
    world.add_private("secret-lib", size=BIG)
    world.crane.faults.append(Fault("/python/secret-lib/secret_lib", bytes_per_second=SLOW))


def test_pip_has_the_terminal_itself(spawn: Callable, telling: Callable) -> None:
    pip = telling()

    _, code = finish(spawn("pip", "--python", str(pip.environment), "install", "x"))

    assert code == 0
    assert pip.told["terminal"] == [True, True, True]


def test_without_a_terminal_pip_has_none(ready: User, telling: Callable) -> None:
    pip = telling()

    ready.crane("pip", "--python", str(pip.environment), "install", "x")

    assert pip.told["terminal"] == [False, False, False]


def test_the_progress_bar_is_shown(world: World, active: Path, spawn: Callable) -> None:
    world.add_private("secret-lib", size=BIG)

    shown, code = finish(spawn("pip", "install", "secret-lib"))

    assert code == 0, shown
    assert "━" in shown or "\x1b[?25l" in shown
    assert "Successfully installed secret-lib-1.0" in shown


# On the default route pip has taken crane's place; on the other, crane waits for it.
ROUTES = pytest.mark.parametrize("route", [(), INDEX_ROUTE], ids=["default", "index"])


@pytest.mark.usefixtures("slow_download")
@ROUTES
def test_ctrl_c_ends_pip_and_crane_together(
    route: tuple[str, ...], spawn: Callable, ready: User
) -> None:
    child = spawn("pip", *route, "install", "secret-lib")
    child.expect("Downloading")
    processes = family(child.pid)

    child.sendintr()
    shown, code = finish(child)

    assert len(processes) >= (2 if route else 1)
    assert code in {1, 130}
    assert "Operation cancelled by user" in shown
    assert "Traceback" not in shown
    assert all_end(processes)
    assert leaves_nothing(ready)


@pytest.mark.usefixtures("slow_download")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
@ROUTES
def test_a_signal_to_crane_ends_pip_too(
    route: tuple[str, ...], number: signal.Signals, spawn: Callable, ready: User
) -> None:
    child = spawn("pip", *route, "install", "secret-lib")
    child.expect("Downloading")
    processes = family(child.pid)

    child.kill(number)
    shown, code = finish(child)

    assert len(processes) >= (2 if route else 1)
    assert code == 128 + number
    assert "Traceback" not in shown
    assert all_end(processes)
    assert leaves_nothing(ready)


@pytest.mark.usefixtures("slow_download")
@ROUTES
def test_a_terminal_that_closes_ends_everything(
    route: tuple[str, ...], spawn: Callable, ready: User
) -> None:
    child = spawn("pip", *route, "install", "secret-lib")
    child.expect("Downloading")
    processes = family(child.pid)

    child.close(force=False)

    assert all_end(processes)
    assert leaves_nothing(ready)


@pytest.mark.usefixtures("slow_download")
def test_a_sigterm_without_a_terminal_ends_pip_too(world: World, ready: User) -> None:
    with subprocess.Popen(
        [CRANE, "pip", *INDEX_ROUTE, "install", "secret-lib"], env=ready.environ, cwd=ready.home,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        for line in process.stdout:
            if "Downloading" in line:
                break
        processes = family(process.pid)
        process.terminate()
        _, errors = process.communicate(timeout=ENDS)

    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in errors
    assert all_end(processes)
    assert leaves_nothing(ready)


def test_a_failure_leaves_the_terminals_last_word_to_the_reason(
    world: World, active: Path, spawn: Callable
) -> None:
    """Where pip is quiet, crane is not, as long as it is still there."""
    world.add_private("secret-lib")
    world.crane.faults.append(Fault("/python/secret-lib/", status=503))

    shown, code = finish(spawn("pip", *INDEX_ROUTE, "-qqq", "install", "secret-lib"))

    assert code == 1
    assert "answered HTTP 503" in shown.splitlines()[-1]


def test_ctrl_c_while_waiting_for_a_login_ends_quietly(
    world: World, user: User, index: object, active: Path, spawn: Callable
) -> None:
    for session in user.sessions.glob("*.json"):
        session.unlink()
    # A browser that shows the page, and a person who never answers.
    user.variables["BROWSER"] = "true %s"
    child = spawn("pip", "install", "secret-lib")
    child.expect("Ctrl-C gives up")
    processes = family(child.pid)

    child.sendintr()
    shown, code = finish(child)

    assert code == 130
    assert "Traceback" not in shown
    assert "interrupted" in shown
    assert all_end(processes)
