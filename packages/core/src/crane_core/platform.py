"""Where crane's files live, and what differs between operating systems about them."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders of one user."""

    config: Path
    data: Path
    cache: Path
    volatile: Path | None = None

    @property
    def runtime(self) -> Path:
        """What running agents keep: gone after a restart, where the system has such a folder."""
        return self.volatile or self.data / "agents"

    @property
    def logs(self) -> Path:
        """What agents write when something is wrong."""
        return self.data / "logs"

    @property
    def config_file(self) -> Path:
        """What the user registered."""
        return self.config / "config.toml"

    @property
    def run(self) -> Path:
        """Files that live as long as a process."""
        return self.data / "run"

    @property
    def sessions(self) -> Path:
        """Tokens, one private file a session."""
        return self.data / "sessions"

    @property
    def provenance(self) -> Path:
        """Which index served which project, and what its files hashed to."""
        return self.data / "provenance.sqlite3"


def user_paths(environ: Mapping[str, str], *, system: str = sys.platform) -> Paths:
    """Return the folders: all below `CRANE_HOME` if set, else where the system puts them."""
    if home := environ.get("CRANE_HOME"):
        root = Path(home).expanduser()
        return Paths(root / "config", root / "data", root / "cache")
    import platformdirs

    folders = platformdirs.PlatformDirs("crane", appauthor=False)
    return Paths(
        config=folders.user_config_path,
        # Not the folder crane-pip used (`data/python`): both may be installed at once.
        data=folders.user_data_path,
        cache=folders.user_cache_path,
        volatile=_volatile(environ, system),
    )


def _volatile(environ: Mapping[str, str], system: str) -> Path | None:
    """Return a folder of this login's own in memory, None where there is none.

    Without `XDG_RUNTIME_DIR` platformdirs makes a name in /tmp up, which anybody may have taken.
    """
    named = environ.get("XDG_RUNTIME_DIR", "")
    if system in {"win32", "darwin"} or not Path(named).is_absolute():
        return None
    return Path(named) / "crane" if Path(named).is_dir() else None


def readable_by_others(status: os.stat_result, *, system: str = sys.platform) -> bool:
    """Whether another user may read a file or enter a folder.

    Windows: files below the profile inherit its access list, which names the user, the system
    and administrators only, so mode bits carry no information there. Elsewhere `mkdir` with 0700
    makes such a list (docs.python.org, os.mkdir, from 3.11.10 and 3.12.4 on).
    """
    if system == "win32":
        return False
    return bool(stat.S_IMODE(status.st_mode) & (stat.S_IRWXG | stat.S_IRWXO))


def writable_by_others(status: os.stat_result, *, system: str = sys.platform) -> bool:
    """Whether another user may change a file; on Windows as in `readable_by_others`."""
    if system == "win32":
        return False
    return bool(stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH))


def owned_by_me(status: os.stat_result) -> bool:
    """Whether the current user owns the file."""
    if sys.platform == "win32":
        return True
    return status.st_uid == os.geteuid()


def owned_by_me_or_root(status: os.stat_result) -> bool:
    """Whether nobody else owns the file than who may change anything of ours anyway."""
    return owned_by_me(status) or status.st_uid == 0


def is_running(pid: int) -> bool:
    """Whether a process of that number exists.

    Never by `os.kill` on Windows: for it every signal but two means TerminateProcess.
    """
    if sys.platform == "win32":
        return _windows_mark(pid) is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


_PROCESSES = Path("/proc/self/stat")  # of Linux


def process_mark(pid: int) -> str | None:
    """Return what tells this process from others of the same number, None if there is none.

    A process that has ended counts as gone, even if its parent has not asked for that yet.
    """
    if sys.platform == "win32":
        return _windows_mark(pid)
    if _PROCESSES.exists():
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        except OSError:
            return "running" if is_running(pid) else None
        # The second field is the program's name in brackets, which may hold anything (proc(5)).
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in {"Z", "X"} else f"{fields[19]}"
    return _listed_mark(pid)


def _listed_mark(pid: int) -> str | None:
    import subprocess

    command = ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)]
    environ = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "running" if is_running(pid) else None
    state, _, started = done.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def _windows_mark(pid: int) -> str | None:
    if sys.platform == "win32":
        import ctypes

        return windows_mark(pid, ctypes.WinDLL("kernel32", use_last_error=True))
    return None


def windows_mark(pid: int, kernel: Any) -> str | None:
    """Return the mark of a process by the functions of kernel32, None if there is none.

    Of one that we may not ask it is "running", which is nobody's mark: not ours, at any rate.
    """
    import ctypes
    from ctypes import wintypes

    query_limited_information, still_active, access_denied = 0x1000, 259, 5
    kernel.OpenProcess.restype = wintypes.HANDLE
    handle = kernel.OpenProcess(query_limited_information, False, pid)
    if not handle:
        refused = getattr(ctypes, "get_last_error")() == access_denied  # noqa: B009 - Windows' own
        return "running" if refused else None
    try:
        code = wintypes.DWORD()
        times = [wintypes.FILETIME() for _ in range(4)]
        known = kernel.GetExitCodeProcess(wintypes.HANDLE(handle), ctypes.byref(code))
        # Who holds a handle keeps the number of a process that has ended.
        if known and code.value != still_active:
            return None
        if not kernel.GetProcessTimes(wintypes.HANDLE(handle), *map(ctypes.byref, times)):
            return "running"
        return f"{times[0].dwHighDateTime:x}{times[0].dwLowDateTime:08x}"
    finally:
        kernel.CloseHandle(wintypes.HANDLE(handle))


def machine_mark() -> str:
    """Return a mark of where process numbers and loopback ports mean the same as here.

    A home may be shared by machines and containers.
    """
    if sys.platform == "win32":
        return os.environ.get("COMPUTERNAME", "")
    marks = [os.uname().nodename]
    for name in ("pid", "net"):
        try:
            marks.append(str(Path("/proc/self/ns", name).readlink()))
        except OSError:  # no Linux, or none that tells
            continue
    return " ".join(marks)


# learn.microsoft.com, "Process Creation Flags"; `subprocess` has their names on Windows only.
_CREATE_NEW_PROCESS_GROUP = 0x0000_0200  # no Ctrl-C of the terminal's
_CREATE_BREAKAWAY_FROM_JOB = 0x0100_0000
_CREATE_NO_WINDOW = 0x0800_0000


def detached(*, system: str = sys.platform) -> tuple[dict[str, Any], ...]:
    """Return what `subprocess.Popen` needs so that a process outlives its starter's terminal.

    Those are ways to try in turn: a later one is for where the system does not permit the one
    before (`PermissionError`).
    """
    if system == "win32":
        # A console of its own that nobody sees. Without any (DETACHED_PROCESS) each program that
        # it starts would open a window: the first is the Python behind a venv's launcher.
        flags = _CREATE_NEW_PROCESS_GROUP | _CREATE_NO_WINDOW
        # A terminal, or an ssh session, may end its job's processes; not each job lets one go.
        return {"creationflags": flags | _CREATE_BREAKAWAY_FROM_JOB}, {"creationflags": flags}
    return ({"start_new_session": True, "umask": 0o077},)


def exit_code(ended: int, *, system: str = sys.platform) -> int:
    """Return what to exit with for a child's `returncode`, as the system's shells would see it.

    A signal's number is 128 more (POSIX). Windows' numbers have 32 bits and no sign, of which
    `sys.exit` takes only 31, and makes -1 of the others: 0xC000013A is a child's end by Ctrl-C.
    """
    if system == "win32":
        return ended - (1 << 32) if ended >= 1 << 31 else ended
    return ended if ended >= 0 else 128 - ended


def leave_no_core_dump() -> None:
    """Let no copy of this process's memory, in which tokens are, be written if it crashes."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def leave_parent() -> None:
    """Go on as a process that is nobody's child, so that whoever started it cannot stumble on it.

    The starter may become another program, whose `wait()` would tell of a child that it never
    had. Windows knows no such tie.
    """
    if sys.platform != "win32" and os.fork():
        os._exit(0)


def sync_folder(path: Path) -> None:
    """Flush a folder's entries, so that a rename survives a power cut.

    Windows cannot open a folder for that; NTFS journals the rename itself.
    """
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
