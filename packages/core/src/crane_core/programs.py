"""Which program a name means."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

_EXTENSIONS = ".COM;.EXE;.BAT;.CMD"  # where PATHEXT is not set


def find_program(name: str, path: str | None, *, system: str = sys.platform) -> str | None:
    """Return the program that a name on a search path means, None if there is none.

    `path` is PATH's value, None for our own. On Windows it is never one of the folder that we
    stand in, where `shutil.which` and CreateProcess look first: a checkout is not to choose what
    is run in it. A name with a folder is taken as it is.
    """
    if system != "win32" or set(name) & {"/", "\\", ":"}:
        return shutil.which(name, path=path)
    extensions = (os.environ.get("PATHEXT") or _EXTENSIONS).lower().split(";")
    has_one = any(name.lower().endswith(extension) for extension in extensions if extension)
    names = [name] if has_one else [f"{name}{extension}" for extension in extensions]
    listed = os.environ.get("PATH", "") if path is None else path
    for entry in listed.split(os.pathsep):
        folder = Path(entry.strip('"'))
        if folder.is_absolute():
            for candidate in names:
                if (folder / candidate).is_file():
                    return str(folder / candidate)
    return None
