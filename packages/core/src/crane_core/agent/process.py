"""The agent's process, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from crane_core import __version__, platform
from crane_core.agent.key import KEY_VARIABLE, agent_key, config_digest
from crane_core.agent.log import Log
from crane_core.agent.runtime import Place, Runtime, places
from crane_core.agent.start import CHANGED, READY, log_file
from crane_core.clock import SystemClock
from crane_core.config.store import ConfigStore
from crane_core.errors import CraneError, system_error
from crane_core.secret import Secret
from crane_core.sharing import remove

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from pathlib import Path

    from crane_core.agent.life import Life
    from crane_core.agent.registry import Registry
    from crane_core.auth.broker import Broker
    from crane_core.auth.context import AuthContext
    from crane_core.auth.model import DeviceAuthorization
    from crane_core.config.model import Configuration, Index
    from crane_core.gateway.events import Observer
    from crane_core.gateway.status import Status
    from crane_core.platform import Paths

TICK_SECONDS = 2.0
LOGIN_SECONDS = 10.0  # what is not known by then, the child's first request will find out
KEPT_SECONDS = 30 * 86_400.0  # an empty place and a log


def main() -> int:
    """Be the agent of the key that the environment names; the exit code is for nobody."""
    platform.leave_parent()
    platform.leave_no_core_dump()
    key = os.environ.pop(KEY_VARIABLE, "")
    paths = platform.user_paths(os.environ)
    try:
        if agent_key(paths, os.environ) != key:
            _tell_starter(CHANGED)
            return 0
        from crane_core.gateway.server import run

        run(_live(paths, key))
    except CraneError as error:
        Log(SystemClock()).note(error.line)
        return error.exit_code
    except OSError as error:
        print(system_error(error).line, file=sys.stderr)  # noqa: T201 - the log
        return 1
    return 0


def _tell_starter(word: bytes) -> None:
    """Say how the start went, and let go of the pipe: its reader may be a shell's `$(…)`."""
    with contextlib.suppress(OSError):  # the starter may have been killed
        os.write(1, word + b"\n")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


class NobodyThere:
    """The prompt of a process without a terminal: nobody logs in here."""

    can_answer = False
    has_browser = False

    def __init__(self, log: Log) -> None:
        self._log = log

    def show_authorization(self, index: Index, url: str) -> None:
        """Show nothing."""

    def show_device_code(self, index: Index, request: DeviceAuthorization) -> None:
        """Show nothing."""

    def notice(self, text: str) -> None:
        """Write it into the log."""
        self._log.note(text)


@contextlib.asynccontextmanager
async def _auth(paths: Paths, log: Log) -> AsyncIterator[AuthContext]:
    from crane_core.auth.context import AuthContext
    from crane_core.auth.keyring_backend import find_backend
    from crane_core.auth.sessions import SessionStore
    from crane_core.auth.vault import open_vault
    from crane_core.http import Clients

    vault = open_vault(os.environ, paths.data, find_backend)
    store = SessionStore(paths.sessions, *vault)
    async with Clients() as clients:
        yield AuthContext(store, clients, SystemClock(), NobodyThere(log), os.environ)


async def _live(paths: Paths, key: str) -> None:
    from crane_core.agent.control import Control
    from crane_core.agent.life import Life, idle_seconds
    from crane_core.agent.registry import Registry
    from crane_core.agent.surroundings import gateway_settings, my_uids
    from crane_core.auth.broker import Broker
    from crane_core.gateway.compose import forwarding
    from crane_core.gateway.server import bind

    log = Log(SystemClock())
    place = Place.of(paths, key)
    digest = config_digest(paths)
    configuration = ConfigStore(paths.config_file).load()
    settings, idle = gateway_settings(os.environ), idle_seconds(os.environ)
    now = SystemClock().now()
    place.prepare(now)
    _sweep(paths, now)
    _prune(paths, key, now)
    listener = bind("127.0.0.1", 0)
    listener.listen(2048)
    runtime = _runtime(key, listener.getsockname()[1])
    async with (
        _auth(paths, log) as auth,
        Broker(auth) as broker,
        forwarding(
            auth, paths, configuration, log.observe, settings, allowed_uids=my_uids()
        ) as gateway,
    ):
        registry = Registry(gateway.views, configuration, place, auth.clock)
        is_current = partial(_is_current, paths, place, runtime, digest)
        life = Life(auth.clock, registry, gateway.is_idle_since, is_current, idle)
        ended = asyncio.Event()
        needed = partial(_logins_needed, broker, configuration, os.environ, settings.offline)
        own_pages = partial(_own_page, gateway.status, log.observe)
        control = Control(runtime, place, registry, life, needed, own_pages, ended)
        async with gateway.serve(listener, control) as task:
            _end_on_signals(life, ended)
            place.write(runtime)
            _tell_starter(READY)
            _import_the_rest()
            try:
                await _until_left(paths, place, digest, registry, life, ended, task)
            finally:
                # In this order: who finds the file must find a view opened.
                _forget(place, runtime)
                registry.close_all()


def _runtime(key: str, port: int) -> Runtime:
    pid = os.getpid()
    mark = platform.process_mark(pid) or ""
    secret = Secret(secrets.token_urlsafe(32))
    return Runtime(key, platform.machine_mark(), pid, mark, port, secret, __version__)


async def _until_left(
    paths: Paths,
    place: Place,
    digest: str,
    registry: Registry,
    life: Life,
    ended: asyncio.Event,
    task: asyncio.Task[None],
) -> None:
    while not task.done():
        # Before the first look: whoever has started us is about to open a view.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), TICK_SECONDS)
        place.touch(SystemClock().now())
        registry.sweep(_registered(paths, digest))
        if life.reason_to_leave():
            ended.set()  # no view is opened from here on
            return


def _registered(paths: Paths, digest: str) -> frozenset[str] | None:
    """Return the URLs of all indexes if the configuration has changed since our start."""
    with contextlib.suppress(CraneError):
        if config_digest(paths) != digest:
            return frozenset(i.url for i in ConfigStore(paths.config_file).load())
    return None


def _is_current(paths: Paths, place: Place, runtime: Runtime, digest: str) -> bool:
    """Whether others would find this agent, and it can do what they want."""
    try:
        # Without its own files, as after the end of a virtual environment, nothing can be imported.
        has_code = os.path.exists(__file__)  # noqa: PTH110
        return has_code and config_digest(paths) == digest and place.read() == runtime
    except CraneError:
        return False


async def _logins_needed(
    broker: Broker,
    configuration: Configuration,
    environ: Mapping[str, str],
    offline: bool,
    names: Sequence[str],
) -> dict[str, str]:
    if offline:
        return {}
    asked = [configuration.find(name) for name in names]
    # A token that somebody else takes care of: a command that gives one is run only once needed.
    own = [i for i in asked if not (i.token_command or _has_token(i, environ))]
    lines = await asyncio.gather(*(_login_needed(broker, index) for index in own))
    return {index.name: line for index, line in zip(own, lines, strict=True) if line}


def _has_token(index: Index, environ: Mapping[str, str]) -> bool:
    return bool(environ.get(f"CRANE_TOKEN_{index.variable_suffix}"))


async def _login_needed(broker: Broker, index: Index) -> str:
    from crane_core.errors import LoginNeeded

    try:
        async with asyncio.timeout(LOGIN_SECONDS):
            await broker.access_token(index)
    except LoginNeeded as error:
        return error.message
    except (CraneError, TimeoutError):
        pass  # no login would help
    return ""


async def _own_page(status: Status, observer: Observer, scope: dict[str, Any], send: Any) -> None:
    from crane_core.gateway.answers import Request
    from crane_core.gateway.connection import EXTENSION
    from crane_core.gateway.finished import FinishedAnswers
    from crane_core.gateway.own_pages import send_own_page

    connection = scope["extensions"][EXTENSION]
    request = Request(scope, send, connection, None, FinishedAnswers(), observer)
    await send_own_page(request, status)


def _import_the_rest() -> None:
    """Have all of our code in memory, in a thread of its own, before an upgrade replaces it."""
    from crane_core.agent.preload import SECONDS, import_all

    loop = asyncio.get_running_loop()
    loop.call_later(SECONDS, loop.run_in_executor, None, import_all)


def _end_on_signals(life: Life, ended: asyncio.Event) -> None:
    def end() -> None:
        life.stop("ended by a signal")
        ended.set()

    if sys.platform != "win32":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, end)


def _forget(place: Place, runtime: Runtime) -> None:
    """Remove our runtime file, unless somebody is about to write another."""
    with _alone(place) as is_alone:
        if is_alone and place.read() == runtime:
            remove(place.file)


def _sweep(paths: Paths, now: float) -> None:
    """Remove what agents of other keys have left behind that were killed."""
    for place in places(paths):
        with _alone(place) as is_alone:
            if is_alone and place.is_left_over(now) and place.clear(now):
                remove(place.file)


def _prune(paths: Paths, key: str, now: float) -> None:
    """Remove what nothing has used for long: a key is seldom come back to."""

    def is_old(path: Path) -> bool:
        return now - path.stat().st_mtime > KEPT_SECONDS

    with contextlib.suppress(OSError):
        for log in paths.logs.glob("agent-*.log"):
            if log != log_file(paths, key) and is_old(log):
                log.unlink()
        for lock in paths.runtime.glob("*/agent.lock"):
            if not (lock.parent / "agent.json").exists() and is_old(lock):
                shutil.rmtree(lock.parent, ignore_errors=True)


@contextlib.contextmanager
def _alone(place: Place) -> Iterator[bool]:
    """Keep others from starting an agent at a place; yields whether nobody does.

    What goes wrong meanwhile is left alone: it is found stale by whoever comes next.
    """
    from filelock import FileLock, Timeout

    from crane_core.files import PRIVATE_FILE

    lock = FileLock(place.lock_file, mode=PRIVATE_FILE)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        yield False
        return
    try:
        with contextlib.suppress(OSError, CraneError):
            yield True
    finally:
        lock.release()
