"""The store of sessions: one private file each, and the locks that guard it."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from crane_core.auth.model import ProviderMetadata, Session, SessionKey, TokenSet
from crane_core.errors import StorageBusy
from crane_core.files import (
    PRIVATE_FILE,
    private_folder,
    read_private,
    storage_errors,
    write_private,
)
from crane_core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

FORMAT = 1
PATIENCE = 2.0  # seconds before a waiting process says what it waits for


class SessionStore:
    """Sessions as files below one folder.

    A file is replaced atomically, so reading needs no lock; whoever writes holds the session's
    lock. Lock files are never deleted: a process that waits on a deleted one would be alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, key: SessionKey) -> Session | None:
        """Return the stored session, None if there is none or it is not ours to understand.

        Raises `UnsafePermissions` if another user may read it.
        """
        content = read_private(self._file(key))
        return None if content is None else _decode(content)

    def write(self, key: SessionKey, session: Session) -> None:
        """Replace the session. Raises `StorageError`; then the old one is still there."""
        write_private(self._file(key), _encode(key, session))

    def delete(self, key: SessionKey) -> None:
        """Remove the session, if there is one."""
        with storage_errors(self._file(key)):
            self._file(key).unlink(missing_ok=True)

    @contextlib.asynccontextmanager
    async def lock(
        self, key: SessionKey, kind: str, *, timeout: float, notice: Callable[[], None]
    ) -> AsyncIterator[None]:
        """Hold the session's lock of that kind against all tasks, threads and processes.

        Waits at most `timeout` seconds, and calls `notice` once after two. Raises `StorageBusy`
        if another process keeps the lock.
        """
        from filelock import AsyncFileLock, Timeout

        private_folder(self._folder)
        path = self._folder / f"{key.digest}.{kind}.lock"
        lock = AsyncFileLock(path, mode=PRIVATE_FILE, thread_local=False, run_in_executor=False)
        with storage_errors(path):
            try:
                await lock.acquire(timeout=min(PATIENCE, timeout), poll_interval=0.02)
            except Timeout:
                notice()
                try:
                    await lock.acquire(timeout=max(0.0, timeout - PATIENCE), poll_interval=0.05)
                except Timeout:
                    raise StorageBusy(
                        "another crane process is busy with this login for too long",
                        hint="finish or end it, then try again",
                    ) from None
        try:
            yield
        finally:
            await lock.release()

    def _file(self, key: SessionKey) -> Path:
        return self._folder / f"{key.digest}.json"


def _encode(key: SessionKey, session: Session) -> bytes:
    tokens = {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in (
            (name, getattr(session.tokens, name)) for name in TokenSet.__dataclass_fields__
        )
    }
    record = {
        "format": FORMAT,
        "session": asdict(key),
        "provider": asdict(session.provider),
        "tokens": tokens,
    }
    return json.dumps(record, indent=1).encode()


def _decode(content: bytes) -> Session | None:
    try:
        record = json.loads(content)
        if record["format"] != FORMAT:
            return None
        provider = record["provider"]
        if not all(isinstance(value, (str, type(None))) for value in provider.values()):
            return None
        return Session(_tokens(record["tokens"]), ProviderMetadata(**provider))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        # A damaged file is no reason to fail: a new login replaces it.
        return None


def _tokens(values: dict[str, Any]) -> TokenSet:
    secrets = {
        name: Secret(str(values[name])) if values.get(name) else None
        for name in ("access_token", "refresh_token")
    }
    if secrets["access_token"] is None:
        raise KeyError("access_token")
    for name in ("issued_at", "expires_at", "refresh_expires_at"):
        if not isinstance(values.get(name), (int, float, type(None))):
            raise TypeError(name)
    return TokenSet(**{**values, **secrets})
