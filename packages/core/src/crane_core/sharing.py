"""Files that another process has open, which Windows neither replaces nor removes meanwhile.

Python opens files without FILE_SHARE_DELETE, and so do virus scanners: until such a reader is done,
`MoveFileEx` and `DeleteFile` fail with ERROR_ACCESS_DENIED or ERROR_SHARING_VIOLATION, and so does
opening a name that is just being replaced (learn.microsoft.com, "Creating and opening files").
Everywhere else a name can be given to another file at any time.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")

# Seconds: most readers are done within milliseconds, and what lasts longer is an answer, too.
PAUSES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)


def patiently(
    action: Callable[[], T], *, system: str = sys.platform, pauses: Sequence[float] = PAUSES
) -> T:
    """Do something with a file that others may have open, on Windows again for up to 0.63 s.

    Raises what the action raises, there only its last `PermissionError`.
    """
    if system == "win32":
        for pause in pauses:
            try:
                return action()
            except PermissionError:
                time.sleep(pause)
    return action()


def replace(source: Path, target: Path) -> None:
    """Give a file another's name, atomically. Raises `OSError`."""
    patiently(lambda: source.replace(target))


def remove(path: Path) -> None:
    """Remove a file, if it is there. Raises `OSError`."""
    patiently(lambda: path.unlink(missing_ok=True))
