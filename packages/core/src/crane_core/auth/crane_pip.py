"""Import of the logins of crane-pip: its `tokens.json`, once, when asked for."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from crane_core.auth.discovery import index_provider
from crane_core.auth.model import Session, session_key
from crane_core.auth.tokens import read_token_response
from crane_core.errors import ConfigBroken, CraneError
from crane_core.urls import names_index

if TYPE_CHECKING:
    from pathlib import Path

    from crane_core.auth.context import AuthContext
    from crane_core.config.model import Index


def tokens_file(home: Path) -> Path:
    """Where crane-pip keeps its tokens, on every system."""
    return home / ".cache" / "crane" / "python" / "tokens.json"


async def import_session(context: AuthContext, path: Path, index: Index) -> bool:
    """Store the login that crane-pip has for this index. Returns whether it had one.

    A login of our own is never replaced. The file itself is left alone: crane-pip may still be
    in use, and shares the refresh token until one of the two is logged out. Raises
    `ConfigBroken`.
    """
    entry = _entry(path, index)
    key = session_key(index)
    if entry is None or context.store.read(key) is not None:
        return False
    now = context.clock.now()
    payload = {
        "access_token": entry.get("access_token"),
        "refresh_token": entry.get("refresh_token"),
        "expires_in": _seconds_left(entry.get("access_token_exp_time"), now),
        "refresh_expires_in": _seconds_left(entry.get("refresh_token_exp_time"), now),
    }
    try:
        tokens = read_token_response(payload, now)
        provider = await index_provider(context.client(index), index)
    except CraneError as error:
        raise ConfigBroken(f"{path}: {error.message}", hint="run: crane login") from error
    async with context.store.lock(key, "refresh", timeout=60.0, notice=lambda: None):
        context.store.write(key, Session(tokens, provider))
    return True


def _entry(path: Path, index: Index) -> dict[str, Any] | None:
    try:
        entries = json.loads(path.read_bytes())
        matching = [entry for url, entry in entries.items() if names_index(url, index.url)]
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise ConfigBroken(
            f"{path}: no tokens.json of crane-pip ({reason})", hint="run: crane login"
        ) from None
    return matching[0] if matching and isinstance(matching[0], dict) else None


def _seconds_left(stamp: object, now: float) -> float | None:
    # Local time without a zone; None means never, which our reader takes for *no end named*.
    try:
        end = datetime.fromisoformat(stamp).timestamp() if isinstance(stamp, str) else None
    except ValueError:
        return 0.0
    return None if end is None else max(0.0, end - now)
