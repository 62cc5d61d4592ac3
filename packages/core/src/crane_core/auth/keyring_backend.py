"""The operating system's keyring, through the `keyring` library, if one works here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crane_core.auth.vault import SERVICE, limited
from crane_core.errors import NotWritable

if TYPE_CHECKING:
    from collections.abc import Callable

PROBE = "probe"


def find_backend(notice: Callable[[str], None]) -> Any | None:
    """Return a keyring backend that answers within three seconds, None if there is none.

    Says so where there is one that does not answer: the user may want to unlock it.
    """
    try:
        # Looking for one may already talk to its service.
        backend = limited(_backend)
        if backend is not None:
            # Reading an entry that is not there asks all that reading one of ours would.
            limited(lambda: backend.get_password(SERVICE, PROBE))
    except NotWritable as error:
        notice(f"{error.message}; logins go to private files")
        return None
    return backend


def _backend() -> Any | None:
    try:
        from keyring import core
        from keyring.backends import fail, null
    except ImportError:
        return None
    chosen = core.load_env() or core.load_config()
    backend = chosen or core.get_keyring()
    if isinstance(backend, (fail.Keyring, null.Keyring)):
        return None
    # Others write plain text: they are worth less than our files, unless the user chose one.
    return backend if chosen or core.recommended(backend) else None
