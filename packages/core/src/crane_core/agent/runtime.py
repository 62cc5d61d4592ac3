"""The files of one agent: how it is found, what its children trust, who may start it."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crane_core.files import private_folder, read_private, write_private
from crane_core.platform import machine_mark, process_mark
from crane_core.secret import Secret
from crane_core.sharing import remove

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crane_core.platform import Paths

TOUCH_SECONDS = 6 * 3600.0
CHILD_SECONDS = 3600.0
KEY_LENGTH = 24  # of a folder's name; the whole key is in the file


@dataclass(frozen=True, slots=True)
class Runtime:
    """What an agent says of itself in its file; `started` is the mark of its process.

    `machine` says where that number is a process's: a home may be shared by machines.
    """

    key: str
    machine: str
    pid: int
    started: str
    port: int
    secret: Secret
    version: str

    @property
    def is_running(self) -> bool:
        """Whether its process is there, and is the one that wrote this."""
        return self.machine == machine_mark() and process_mark(self.pid) == self.started


class Place:
    """The folder of the agent of one key, for its user alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "agent.json"
        self.lock_file = folder / "agent.lock"  # never deleted while somebody may wait for it
        self.bundles = folder / "bundles"

    @classmethod
    def of(cls, paths: Paths, key: str) -> Place:
        """Return the place of the agent of that key."""
        return cls(paths.runtime / key[:KEY_LENGTH])

    def bundle(self, view: str) -> Path:
        """Return the file of certificates of a view's child."""
        return self.bundles / f"{view}.pem"

    def remove_files(self, view: str) -> None:
        """Remove all files of a view's child: their names begin with the view's."""
        with contextlib.suppress(OSError):
            for path in self.bundles.glob(f"{view}.*"):
                remove(path)

    def read(self) -> Runtime | None:
        """Return what stands in the file, None if there is none, or none that we understand.

        Raises `UnsafePermissions` if somebody else may read it.
        """
        content = read_private(self.file)
        try:
            return None if content is None else _runtime(json.loads(content))
        except (ValueError, KeyError, TypeError):
            return None

    def write(self, runtime: Runtime) -> None:
        """Replace the file. Raises a `StorageError`."""
        value = {
            "key": runtime.key,
            "machine": runtime.machine,
            "pid": runtime.pid,
            "started": runtime.started,
            "port": runtime.port,
            "secret": runtime.secret.reveal(),  # into its own file, which is private
            "version": runtime.version,
        }
        write_private(self.file, json.dumps(value).encode(), durable=False)

    def prepare(self, now: float) -> None:
        """Make the folders, and remove what an agent left here that was killed."""
        private_folder(self.folder)
        private_folder(self.bundles)
        before = self.read()
        if before is None or not before.is_running:
            self.clear(now)

    def is_left_over(self, now: float) -> bool:
        """Whether the agent that wrote the file is gone for certain.

        Of another machine's one only its file's age tells, since `touch` keeps it young.
        """
        runtime = self.read()
        if runtime is not None and runtime.machine != machine_mark():
            return now - self.file.stat().st_mtime > 2 * TOUCH_SECONDS
        return runtime is None or not runtime.is_running

    def touch(self, now: float) -> None:
        """Keep the file young, seldom: a folder in memory may be swept by age, too."""
        with contextlib.suppress(OSError):
            if now - self.file.stat().st_mtime > TOUCH_SECONDS:
                os.utime(self.file)

    def clear(self, now: float) -> bool:
        """Remove what a killed agent's children cannot need any more; whether that was all.

        Without its agent a child gets no answer. Without this file pip would not tell it so: it
        shows a traceback.
        """
        with contextlib.suppress(OSError):
            for left in self.bundles.iterdir():
                if now - left.stat().st_mtime > CHILD_SECONDS:
                    remove(left)
            return not any(self.bundles.iterdir())
        return True


def places(paths: Paths) -> Iterator[Place]:
    """Return the places of all of the user's agents, running or not."""
    with contextlib.suppress(OSError):
        for file in sorted(paths.runtime.glob("*/agent.json")):
            yield Place(file.parent)


def _runtime(value: Any) -> Runtime:
    return Runtime(
        key=str(value["key"]),
        machine=str(value["machine"]),
        pid=int(value["pid"]),
        started=str(value["started"]),
        port=int(value["port"]),
        secret=Secret(value["secret"]),
        version=str(value.get("version", "?")),
    )
