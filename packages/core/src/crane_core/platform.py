"""Where crane's files live, and what differs between operating systems about them."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders of one user."""

    config: Path
    data: Path
    cache: Path

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


def user_paths(environ: Mapping[str, str]) -> Paths:
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
    )


def readable_by_others(status: os.stat_result) -> bool:
    """Whether another user may read a file or enter a folder.

    Windows: files below the profile inherit its access list, which names the user, the system
    and administrators only, so mode bits carry no information there.
    """
    if sys.platform == "win32":
        return False
    return bool(stat.S_IMODE(status.st_mode) & (stat.S_IRWXG | stat.S_IRWXO))


def writable_by_others(status: os.stat_result) -> bool:
    """Whether another user may change a file; on Windows as in `readable_by_others`."""
    if sys.platform == "win32":
        return False
    return bool(stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH))


def owned_by_me(status: os.stat_result) -> bool:
    """Whether the current user owns the file."""
    if sys.platform == "win32":
        return True
    return status.st_uid == os.geteuid()


def is_running(pid: int) -> bool:
    """Whether a process of that number exists.

    Windows has no signal 0, and reuses numbers quickly: there every one counts as running.
    """
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


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
