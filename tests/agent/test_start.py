"""Starting agents from a program, and meeting one that is about to leave."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agent.kit import SECRET, Bench

from crane_core.agent import process
from crane_core.agent.key import agent_environment, agent_key, config_digest
from crane_core.agent.runtime import Place, Runtime
from crane_core.agent.start import adopt, open_view, running
from crane_core.errors import StorageBusy
from crane_core.gateway.views import Wish
from crane_core.platform import Paths, process_mark, user_paths


@pytest.fixture
def paths() -> Iterator[Paths]:
    """Give empty folders; agents that were started for them end with the test."""
    paths = user_paths(os.environ)
    yield paths
    for agent in running(paths):
        if agent.runtime.pid != os.getpid():
            agent.stop()
            until = time.monotonic() + 30
            while process_mark(agent.runtime.pid) and time.monotonic() < until:
                time.sleep(0.01)


@pytest.fixture
def key(paths: Paths) -> str:
    """Give the key of this process's agent."""
    return agent_key(paths, agent_environment(os.environ, str(Path.cwd())))


@pytest.fixture
def place(paths: Paths, key: str) -> Place:
    """Give the place where an agent of this process is looked for."""
    return Place.of(paths, key)


def fail(text: str) -> None:
    """Stand in for a person who must not be bothered."""
    raise AssertionError(text)


def test_a_program_starts_one_and_finds_it_again(paths: Paths) -> None:
    first, view = open_view(paths, os.environ, Wish(owner=os.getpid()), notice=fail)
    second, other = open_view(paths, os.environ, Wish(owner=os.getpid()), notice=fail)
    with first, second:
        assert first.runtime == second.runtime
        assert first.runtime.pid != os.getpid()
        assert view.opened.secret != other.opened.secret


def test_one_that_is_about_to_leave_is_waited_for_and_replaced(
    paths: Paths, place: Place, key: str
) -> None:
    bench = Bench(place, key)
    bench.ended.set()
    asked = threading.Event()

    class Leaving:
        """An agent that opens nothing more, and is gone a moment after it has said so."""

        def __init__(self, app: Any) -> None:
            self._app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self._app(scope, receive, send)
            if scope["path"].endswith("/views"):
                asked.set()

    def leave() -> None:
        asked.wait(30)
        time.sleep(0.3)
        place.file.unlink()

    thread = threading.Thread(target=leave)
    thread.start()
    with bench.serving(Leaving) as before:
        agent, view = open_view(paths, os.environ, Wish(owner=os.getpid()), notice=fail)
    thread.join()
    with agent:
        assert agent.runtime.pid != before.pid
        assert agent.runtime.port == view.port != before.port
    assert not bench.views.opened


def test_a_lock_that_is_kept_is_said_and_given_up(
    paths: Paths, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filelock import FileLock

    monkeypatch.setattr("crane_core.agent.start.PATIENCE", 0.05)
    monkeypatch.setattr("crane_core.agent.start.LOCK_SECONDS", 0.1)
    place.folder.mkdir(parents=True)
    said: list[str] = []
    with FileLock(place.lock_file), pytest.raises(StorageBusy, match=r"agent\.lock"):
        adopt(paths, os.environ, notice=said.append)
    assert said == ["waiting for another crane process to start the agent"]


def test_an_agent_that_is_not_ready_in_time_is_said(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crane_core.errors import AgentTrouble

    slow = tmp_path / "sitecustomize.py"
    slow.write_text(
        "import sys, time\nif 'crane_core.agent' in sys.orig_argv: time.sleep(3); sys.exit()\n"
    )
    monkeypatch.setattr("crane_core.agent.start.START_SECONDS", 0.1)
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with pytest.raises(AgentTrouble, match="is not ready after"):
        adopt(paths, environ, notice=fail)


def test_many_threads_find_one(paths: Paths) -> None:
    """As in a program with plugins."""
    found: list[int] = []

    def look() -> None:
        with adopt(paths, os.environ, notice=lambda _: None) as agent:
            found.append(agent.runtime.pid)

    threads = [threading.Thread(target=look) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 5
    assert len(set(found)) == 1


def test_an_agent_knows_when_it_is_of_no_use_any_more(
    paths: Paths, place: Place, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Runtime(key, "here", 1, "x", 1, SECRET, "0")
    place.prepare(time.time())
    place.write(runtime)
    digest = config_digest(paths)

    def is_current() -> bool:
        return process._is_current(paths, place, runtime, digest)

    assert is_current()
    with monkeypatch.context() as patched:
        patched.setattr(process, "__file__", "/nowhere/process.py")
        assert not is_current()
    place.write(replace(runtime, pid=2))
    assert not is_current()
    place.write(runtime)
    assert is_current()
    paths.config.mkdir(parents=True)
    paths.config_file.write_text("# changed")
    assert not is_current()
    paths.config_file.unlink()
    place.file.chmod(0o644)
    assert not is_current()
    place.file.unlink()
    assert not is_current()
