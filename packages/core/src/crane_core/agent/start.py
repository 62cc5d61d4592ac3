"""Finding an agent, or starting one. Every wait has its limit, and says what it waits for."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from crane_core import platform
from crane_core.agent.client import Agent, AgentLost, connect
from crane_core.agent.key import KEY_VARIABLE, agent_environment, agent_key
from crane_core.agent.runtime import Place, places
from crane_core.errors import AgentTrouble, StorageBusy

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from crane_core.agent.client import View
    from crane_core.agent.runtime import Runtime
    from crane_core.gateway.views import Wish
    from crane_core.platform import Paths

    Notice = Callable[[str], None]

PATIENCE = 2.0  # seconds before a waiting process says what it waits for
LEAVE_SECONDS = 3.0
LOCK_SECONDS = 30.0
START_SECONDS = 25.0
TRIES = 3
READY, CHANGED, SLOW = b"ready", b"changed", b"slow"  # how a start went
LOG_LIMIT = 256 << 10  # bytes; a longer log begins anew


def open_view(
    paths: Paths,
    environ: Mapping[str, str],
    wish: Wish,
    *,
    notice: Notice,
    join: str | None = None,
) -> tuple[Agent, View]:
    """Return the agent for this environment, started if need be, and a view opened there.

    `environ` is the user's own, without what an outer crane has changed in it. The agent is to be
    closed by the caller. Raises `AgentTrouble`, a `StorageError`, or what the agent says.
    """
    for _ in range(TRIES):
        agent = adopt(paths, environ, notice=notice)
        try:
            return agent, agent.open_view(wish, join=join)
        except AgentLost:  # killed, or about to leave, in just this moment
            agent.close()
            _wait_for_end(paths, agent.runtime)
        except BaseException:
            agent.close()
            raise
    raise AgentTrouble(
        "the agent ends again and again before it can be used", hint=f"see {paths.logs}"
    )


def _wait_for_end(paths: Paths, runtime: Runtime) -> None:
    """Wait until an agent that takes no more views cannot be found, but not for long."""
    place = Place.of(paths, runtime.key)
    until = time.monotonic() + LEAVE_SECONDS
    while runtime.is_running and place.read() == runtime and time.monotonic() < until:
        time.sleep(0.01)


def adopt(paths: Paths, environ: Mapping[str, str], *, notice: Notice) -> Agent:
    """Return the running agent for this environment, or a new one."""
    environ = agent_environment(environ, _folder())
    for _ in range(TRIES):
        key = agent_key(paths, environ)
        place = Place.of(paths, key)
        agent = find(place) or start(paths, place, key, environ, notice=notice)
        if agent is not None:
            return agent
    raise AgentTrouble(
        "the configuration changes all the time while an agent starts", hint="try again"
    )


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109
    except FileNotFoundError:  # somebody has removed it
        return os.path.abspath(os.sep)  # noqa: PTH100


def find(place: Place) -> Agent | None:
    """Return the agent that runs at this place, None if there is none, or it cannot be reached.

    Raises `AgentTrouble` for one that speaks another language, `UnsafePermissions`.
    """
    runtime = place.read()
    # A number that another process has by now says nothing, and its port may be anybody's.
    if runtime is None or not runtime.is_running:
        return None
    try:
        return connect(runtime)
    except AgentLost:
        return None


def running(paths: Paths) -> Iterator[Agent]:
    """Yield all running agents of the user, also those of other versions of crane."""
    for place in places(paths):
        runtime = place.read()
        if runtime is None or not runtime.is_running:
            continue
        try:
            agent = connect(runtime, speak=False)
        except AgentLost:
            continue
        with agent:
            yield agent


def start(
    paths: Paths, place: Place, key: str, environ: Mapping[str, str], *, notice: Notice
) -> Agent | None:
    """Start an agent, unless somebody else does at the same time. Returns None for another try.

    Raises `AgentTrouble` with the reason, or a `StorageError`.
    """
    from filelock import FileLock, Timeout

    from crane_core.files import PRIVATE_FILE, private_folder, storage_errors

    private_folder(place.folder)
    lock = FileLock(place.lock_file, mode=PRIVATE_FILE)
    with storage_errors(place.lock_file):
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            notice("waiting for another crane process to start the agent")
            try:
                lock.acquire(timeout=LOCK_SECONDS)
            except Timeout:
                raise StorageBusy(
                    f"another crane process keeps {place.lock_file} locked",
                    hint="end it, then try again",
                ) from None
    try:
        if agent := find(place):
            return agent
        log = _open_log(paths, key)
        try:
            answer = _launch(key, environ, log)
        finally:
            os.close(log)
        if answer == READY:
            # It may have been killed since: then the next try tells.
            return find(place)
        if answer == CHANGED:
            return None
        raise _did_not_start(paths, key, answer)
    finally:
        lock.release()


def log_file(paths: Paths, key: str) -> Path:
    """Return where the agent of that key says what is wrong."""
    return paths.logs / f"agent-{key[:8]}.log"


def _open_log(paths: Paths, key: str) -> int:
    from crane_core.files import PRIVATE_FILE, private_folder, storage_errors

    path = log_file(paths, key)
    private_folder(path.parent)
    with storage_errors(path):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        log = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), PRIVATE_FILE)
        if os.fstat(log).st_size > LOG_LIMIT:
            os.ftruncate(log, 0)
    return log


def _launch(key: str, environ: Mapping[str, str], log: int) -> bytes:
    """Start the process and return what it says of its start, nothing if it says nothing."""
    import subprocess
    import threading

    said: list[bytes] = []
    reading, writing = os.pipe()
    try:
        process = _detached(
            [sys.executable, "-P", *_program()],
            # Not on the command line, which every user of the machine may read.
            env={**environ, KEY_VARIABLE: key},
            cwd=os.path.abspath(os.sep),  # noqa: PTH100 - no folder is kept from being removed
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=log,
        )
    except OSError as error:
        os.close(reading)
        raise AgentTrouble(
            f"the agent does not start: {error.strerror}", hint=f"check {sys.executable}"
        ) from error
    finally:
        os.close(writing)
    # In a thread, since a pipe cannot be waited for with a limit everywhere. It ends with the
    # pipe, which the agent lets go of once it is ready, and else by its own end.
    reader = threading.Thread(target=_read_line, args=(reading, said), daemon=True)
    reader.start()
    reader.join(START_SECONDS)
    if reader.is_alive():
        process.kill()
        process.wait()
        return SLOW
    if sys.platform != "win32":
        process.wait(START_SECONDS)  # the first of its two processes, which has ended
    else:
        process.returncode = 0  # so that Python does not complain that it runs still
    return said[0] if said else b""


def _detached(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process on its own, in the first way that the system permits. Raises `OSError`."""
    import subprocess

    *ways, last = platform.detached()
    for way in ways:
        with contextlib.suppress(PermissionError):
            return subprocess.Popen(command, **options, **way)
    return subprocess.Popen(command, **options, **last)


def _program() -> list[str]:
    """Return Python's arguments; the agent has to find the crane that we are.

    Poetry has a project's plugins in a folder that only its own process knows.
    """
    import site

    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    if folder in site.getsitepackages():
        return ["-m", "crane_core.agent"]
    start = f"import sys; sys.path.insert(0, {folder!r}); "
    return ["-c", f"{start}from crane_core.agent.process import main; sys.exit(main())"]


def _read_line(pipe: int, said: list[bytes]) -> None:
    with os.fdopen(pipe, "rb") as file:
        said.append(file.readline().strip())


def _did_not_start(paths: Paths, key: str, answer: bytes) -> AgentTrouble:
    path = log_file(paths, key)
    if answer == SLOW:
        return AgentTrouble(
            f"the agent is not ready after {START_SECONDS:.0f} seconds", hint=f"see {path}"
        )
    from crane_core.agent.log import last_problem

    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    last = last_problem(lines) or "no reason given"
    return AgentTrouble(f"the agent does not start: {last}", hint=f"see {path}")
