"""The store of sessions: one private file each, and the locks that guard it."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from crane_core.auth.model import (
    Identity,
    ProviderMetadata,
    Session,
    SessionKey,
    TokenSet,
    session_key,
)
from crane_core.auth.vault import mark_of, present_vault
from crane_core.errors import StorageBusy
from crane_core.files import (
    PRIVATE_FILE,
    private_folder,
    storage_errors,
    write_private,
)
from crane_core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from crane_core.auth.vault import FileMark, Vault
    from crane_core.config.model import Index

    Settle = Callable[[Callable[[str], None]], Vault]

FORMAT = 1
PATIENCE = 2.0  # seconds before a waiting process says what it waits for


class SessionStore:
    """Sessions in a vault, with locks as files beside them.

    A document is replaced atomically, so reading needs no lock; whoever writes holds the
    session's lock. Lock files are never deleted: a process that waits on a deleted one would be
    alone. Each session has a mark, a file that changes with it, so that a process can trust what
    it has read until another has written, or moved all sessions to another vault.
    """

    def __init__(
        self,
        folder: Path,
        vault: Vault,
        settle: Settle | None = None,
        spared: frozenset[SessionKey] = frozenset(),
    ) -> None:
        self._folder = folder
        self._settle = settle
        self._spared = spared
        self.vault = vault
        self._read: dict[SessionKey, tuple[FileMark | None, Vault, Session | None]] = {}

    def settle(self, notice: Callable[[str], None]) -> None:
        """Decide for good where sessions are kept, before the first one is written."""
        if self._settle is not None:
            self.vault = self._settle(notice)
            self._read.clear()

    def sparing(self, keys: Iterable[SessionKey]) -> SessionStore:
        """Return the same store for a logout that is to leave these sessions alone."""
        return SessionStore(self._folder, self.vault, self._settle, frozenset(keys))

    def read(self, key: SessionKey) -> Session | None:
        """Return the stored session, None if there is none or it is not ours to understand.

        Raises `UnsafePermissions` if another user may read it.
        """
        mark, vault = mark_of(self._mark_file(key)), present_vault(self.vault)
        known = self._read.get(key)
        if known is None or known[0] is None or known[0] != mark or known[1] is not vault:
            content = self.vault.read(key.digest)
            known = (mark, vault, None if content is None else _decode(content))
            self._read[key] = known
        return known[2]

    def read_for(self, index: Index) -> Session | None:
        """Return the stored session that an index uses."""
        return self.read(session_key(index))

    def accounts(self, index: Index) -> list[SessionKey]:
        """Return the keys of every account that is logged in at this index, but the spared ones."""
        wanted = replace(session_key(index), account=None)
        keys = {session_key(index)}
        for mark in self._folder.glob("*.mark"):
            content = self.vault.read(mark.stem)
            key = _decode_key(content) if content is not None else None
            if key is not None and replace(key, account=None) == wanted:
                keys.add(key)
        return sorted(keys - self._spared, key=lambda key: key.account or "")

    def write(self, key: SessionKey, session: Session) -> None:
        """Replace the session. Raises `StorageError`; then the old one is still there."""
        self.vault.write(key.digest, _encode(key, session))
        self._renew_mark(key)

    def require_writable(self, key: SessionKey) -> None:
        """Raise what a write would raise, for before a step whose outcome must be kept."""
        self.vault.require_writable(key.digest)

    def delete(self, key: SessionKey) -> None:
        """Remove the session, if there is one."""
        self.vault.delete(key.digest)
        self._renew_mark(key)

    def _mark_file(self, key: SessionKey) -> Path:
        return self._folder / f"{key.digest}.mark"

    def _renew_mark(self, key: SessionKey) -> None:
        self._read.pop(key, None)
        write_private(self._mark_file(key), b"")

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
        # Whoever held it before may have been killed between the document and its mark.
        self._read.pop(key, None)
        try:
            yield
        finally:
            await lock.release()


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
        # Beside what older versions read, which take no other member inside of it.
        "grant": session.grant,
        "identity": None if session.identity is None else asdict(session.identity),
    }
    return json.dumps(record, indent=1).encode()


def _decode(content: bytes) -> Session | None:
    try:
        record = json.loads(content)
        if record["format"] != FORMAT:
            return None
        provider = {name: _provider_value(value) for name, value in record["provider"].items()}
        return Session(
            _tokens(record["tokens"]),
            ProviderMetadata(**provider),
            _text(record.get("grant")),
            _identity(record.get("identity")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        # A damaged file is no reason to fail: a new login replaces it.
        return None


def _decode_key(content: bytes) -> SessionKey | None:
    try:
        return SessionKey(**json.loads(content)["session"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _identity(value: object) -> Identity | None:
    if not isinstance(value, dict):
        return None
    names = value.get("audiences")
    audiences = tuple(n for n in names if isinstance(n, str)) if isinstance(names, list) else ()
    return Identity(_text(value.get("issuer")), _text(value.get("subject")), audiences)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _provider_value(value: object) -> Any:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if isinstance(value, (str, bool, type(None))):
        return value
    raise TypeError("provider")


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
