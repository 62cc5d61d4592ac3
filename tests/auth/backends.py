"""Keyring backends as people may have them, for PYTHON_KEYRING_BACKEND and for our own use.

All but the first keep what they are given in a file that CRANE_TEST_KEYRING names.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError, PasswordSetError

MOST_BYTES = 2_560  # CRED_MAX_CREDENTIAL_BLOB_SIZE of Windows


class DictBackend(KeyringBackend):
    """A keyring in memory, that counts its changes."""

    priority = 5  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[str, str] = {}
        self.changes = 0

    def get_password(self, service: str, username: str) -> str | None:
        assert service == "crane"
        return self.entries.get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        self.changed()
        self.entries[username] = password

    def delete_password(self, service: str, username: str) -> None:
        if username not in self.entries:
            raise PasswordDeleteError(username)
        self.changed()
        del self.entries[username]

    def changed(self) -> None:
        """Hear of a change that is about to be made."""
        self.changes += 1


class DyingBackend(DictBackend):
    """Its process ends at the change of that number: none after it takes place."""

    def __init__(self, entries: dict[str, str], dies_at: int) -> None:
        super().__init__()
        self.entries, self.dies_at = entries, dies_at

    def changed(self) -> None:
        super().changed()
        if self.changes >= self.dies_at:
            raise KeyringLocked("killed")


class Backend(DictBackend):
    """A keyring in a file."""

    def __init__(self) -> None:
        super().__init__()
        self.file = Path(os.environ["CRANE_TEST_KEYRING"])
        self.entries = json.loads(self.file.read_text()) if self.file.exists() else {}

    def set_password(self, service: str, username: str, password: str) -> None:
        super().set_password(service, username, password)
        self.file.write_text(json.dumps(self.entries))

    def delete_password(self, service: str, username: str) -> None:
        super().delete_password(service, username)
        self.file.write_text(json.dumps(self.entries))


class WindowsLike(Backend):
    """Refuses what does not fit the Credential Manager: counted in UTF-16."""

    def set_password(self, service: str, username: str, password: str) -> None:
        if len(password.encode("utf-16-le")) > MOST_BYTES:
            raise PasswordSetError("(1783, 'CredWrite', 'The stub received bad data.')")
        super().set_password(service, username, password)


class Hanging(Backend):
    """Asks its user to unlock it, on a screen that nobody looks at."""

    def get_password(self, service: str, username: str) -> str | None:
        threading.Event().wait()
        return None


class HangingAtWrites(Backend):
    """May be read, and asks before it is written."""

    def set_password(self, service: str, username: str, password: str) -> None:
        threading.Event().wait()


class Raising(Backend):
    """Breaks as a D-Bus service does that is not there."""

    def get_password(self, service: str, username: str) -> str | None:
        raise RuntimeError("org.freedesktop.secrets was not provided by any .service files")


class HangingAtStart(Backend):
    """Waits for its service already when it is made."""

    def __init__(self) -> None:
        threading.Event().wait()


class PlainText(Backend):
    """Works everywhere, and says that nobody should use it without having chosen it."""

    priority = 0.5  # type: ignore[assignment]
