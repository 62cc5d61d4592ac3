"""The broker and a token-command: run once for many requests, and once more when it must be."""

from __future__ import annotations

import asyncio
import gc
import shlex
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from auth.kit import Desk, at_desk, token
from idp.oidc import Realm

from crane_core.errors import LoginNeeded
from crane_core.secret import Secret

# Notes each run, takes its time as a tool that asks a server does, and then ends as it is told.
COMMAND = """
import pathlib, sys, time
runs = pathlib.Path(sys.argv[1])
with runs.open("a") as file:
    file.write("x")
time.sleep(0.3)
number = len(runs.read_text())
print({"another": f"token-{number}", "same": "token"}.get(sys.argv[2], ""))
sys.exit(sys.argv[2] == "fails")
"""


class Command:
    """A command that counts its runs."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._runs = folder / "runs"
        script = folder / "command.py"
        script.write_text(COMMAND)
        self.line = shlex.join([sys.executable, str(script), str(self._runs), kind])

    @property
    def runs(self) -> int:
        """How often it has run."""
        return len(self._runs.read_text()) if self._runs.exists() else 0


Job = Callable[[Desk, Command], Awaitable[None]]


def with_command(realm: Realm, tmp_path: Path, kind: str, job: Job) -> None:
    """Run a job at a desk whose index has such a command; the provider is never asked."""
    command = Command(tmp_path, kind)

    async def run(desk: Desk) -> None:
        await job(desk, command)

    at_desk(realm, tmp_path / "sessions", run, token_command=command.line)
    assert realm.requests() == []


async def fifty(desk: Desk, rejected: Secret | None = None) -> list[Secret | BaseException]:
    """Ask fifty times at once."""
    asked = (token(desk, rejected) for _ in range(50))
    return await asyncio.gather(*asked, return_exceptions=True)


def test_it_runs_once_for_many_requests(realm: Realm, tmp_path: Path) -> None:
    """An install asks for each page and file, and some tools ask for fifty at once."""

    async def job(desk: Desk, command: Command) -> None:
        assert set(await fifty(desk)) == {Secret("token-1")}
        for _ in range(10):
            assert await token(desk) == Secret("token-1")
        assert command.runs == 1

    with_command(realm, tmp_path, "another", job)


def test_it_runs_once_more_when_the_index_refuses_its_token(realm: Realm, tmp_path: Path) -> None:
    """Fifty answers of 401 to one token are one reason; the new one is kept as the first was."""

    async def job(desk: Desk, command: Command) -> None:
        first = await token(desk)
        assert set(await fifty(desk, first)) == {Secret("token-2")}
        # A slow request, which was sent with the first one.
        assert await token(desk, first) == Secret("token-2")
        assert set(await fifty(desk)) == {Secret("token-2")}
        assert command.runs == 2
        assert await token(desk, Secret("token-2")) == Secret("token-3")
        assert command.runs == 3

    with_command(realm, tmp_path, "another", job)


def test_a_token_that_stays_refused_ends_in_an_error(realm: Realm, tmp_path: Path) -> None:
    """One more run for all who ask at the same time, no loop, and a new try for the next tool."""

    async def job(desk: Desk, command: Command) -> None:
        first = await token(desk)
        for runs in (2, 3):
            for error in await fifty(desk, first):
                assert isinstance(error, LoginNeeded)
                assert "is refused" in error.message
            assert command.runs == runs
        assert await token(desk) == first
        assert command.runs == 3

    with_command(realm, tmp_path, "same", job)


def test_a_command_that_fails_does_so_once_for_all_who_wait(realm: Realm, tmp_path: Path) -> None:
    """One that hangs for half a minute must not do so fifty times in a row."""

    async def job(desk: Desk, command: Command) -> None:
        for runs in (1, 2):
            for error in await fifty(desk):
                assert isinstance(error, LoginNeeded)
                assert "ended with 1" in error.message
            assert command.runs == runs

    with_command(realm, tmp_path, "fails", job)


@pytest.mark.parametrize("kind", ["another", "fails"])
def test_a_request_that_is_given_up_takes_nothing_from_the_others(
    realm: Realm, tmp_path: Path, kind: str
) -> None:
    """A tool that closes its connection; and if all do, nothing complains."""

    async def job(desk: Desk, command: Command) -> None:
        leaving = asyncio.create_task(token(desk))
        await asyncio.sleep(0.05)
        staying = asyncio.create_task(token(desk))
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        if kind == "another":
            assert await staying == Secret("token-1")
        else:
            with pytest.raises(LoginNeeded):
                await staying
        assert command.runs == 1

    with_command(realm, tmp_path, kind, job)


def test_an_error_that_nobody_waits_for_is_not_logged(
    realm: Realm, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio would print it, with a traceback, in the middle of pip's output."""

    async def job(desk: Desk, command: Command) -> None:
        leaving = asyncio.create_task(token(desk))
        await asyncio.sleep(0.05)
        leaving.cancel()
        this = asyncio.current_task()
        await asyncio.wait([task for task in asyncio.all_tasks() if task is not this])
        assert command.runs == 1

    with_command(realm, tmp_path, "fails", job)
    gc.collect()
    assert caplog.records == []
